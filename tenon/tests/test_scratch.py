"""The demo's scratch folder: an interrupted run goes on, an ended one makes room, no foreign folder is touched."""

import subprocess
from pathlib import Path

import pytest

from tenon.output import CommandError
from tenon.scratch import clone_repository, finish, prepared_home


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    (root / "file").write_text("1")
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "start"],
    ):
        subprocess.run(["git", *words], cwd=root, check=True)
    return root


def test_what_an_interrupted_run_left_is_still_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (prepared_home(tmp_path / "home") / "left").touch()
    assert (prepared_home(tmp_path / "home") / "left").exists()
    assert "going on with the run that was interrupted" in capsys.readouterr().err


def test_a_run_after_an_ended_one_starts_over(tmp_path: Path) -> None:
    home = prepared_home(tmp_path / "home")
    (home / "left").touch()
    finish(home)
    assert not (prepared_home(home) / "left").exists()


def test_a_folder_of_somebody_else_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "finished").touch()
    with pytest.raises(CommandError, match="is not empty and not of this command; give an empty --home"):
        prepared_home(tmp_path)
    assert (tmp_path / "finished").exists()


def test_a_home_that_is_a_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(CommandError, match="give a --home that can be written"):
        prepared_home(tmp_path / "home")


def test_a_clone_that_was_interrupted_is_made_anew(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "clone" / ".git").mkdir(parents=True)
    clone_repository(repository, tmp_path / "clone")
    assert (tmp_path / "clone" / "file").read_text() == "1"


def test_a_clone_that_is_whole_keeps_what_was_done_in_it(tmp_path: Path, repository: Path) -> None:
    clone_repository(repository, tmp_path / "clone")
    (tmp_path / "clone" / "file").write_text("2")
    clone_repository(repository, tmp_path / "clone")
    assert (tmp_path / "clone" / "file").read_text() == "2"


def test_a_root_that_is_no_repository_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is no Git repository; run it in a clone of Tenon"):
        clone_repository(tmp_path, tmp_path / "clone")
