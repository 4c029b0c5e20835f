"""Disks that are full and files that may not be read: the file, the right verb, and what to run next."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from generators import rendering
from generators.writing import write_whole
from tenon.__main__ import main

Said = Callable[..., str]


@pytest.fixture
def said(root: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """What a command says when it refuses."""

    def run(*words: str) -> str:
        assert main([*words, "--root", str(root)]) == 2
        return capsys.readouterr().err

    return run


def test_a_disk_that_fills_up_names_the_file_and_the_half_written_tree(
    root: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []

    def write(path: Path, content: bytes) -> None:
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")  # as a write says it, with no name
        written.append(path)
        write_whole(path, content)

    monkeypatch.setattr(rendering, "write_whole", write)
    text = said("render", "--only", "acme")
    assert "rendered/eu1/tenants/acme/" in text.split(": cannot be written (No space left on device)")[0]
    assert "rendered/ is half written: mend that and run `tenon render --only acme`" in text
    monkeypatch.undo()
    assert main(["render", "--only", "acme", "--root", str(root)]) == 0
    assert main(["render", "--only", "acme", "--check", "--root", str(root)]) == 0


def unlistable(monkeypatch: pytest.MonkeyPatch, hidden: Path) -> None:
    """A folder that may not be listed, as mode 0 makes it for everyone but root."""
    by_name, by_entry = os.listdir, os.scandir

    def refusing(listed: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def asked(path: Any = ".") -> Any:
            if str(path) == str(hidden):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return listed(path)

        return asked

    monkeypatch.setattr(os, "listdir", refusing(by_name))
    monkeypatch.setattr(os, "scandir", refusing(by_entry))


@pytest.mark.parametrize("words", [(), ("--check",)])
def test_a_rendered_folder_that_may_not_be_listed_is_not_taken_for_missing(
    root: Path, said: Said, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    hidden = root / "rendered/eu1/tenants/acme/foundation"
    hidden.mkdir(parents=True)
    unlistable(monkeypatch, hidden)
    text = said("render", "--only", "acme", *words)
    assert f"{hidden}: cannot be read (Permission denied); mend it and render again" in text


@pytest.mark.parametrize("folder", ["tenants", "tenants/acme/models"])
def test_inputs_that_may_not_be_listed_are_not_taken_for_none(
    root: Path, said: Said, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    unlistable(monkeypatch, root / folder)
    assert f"{folder}:1: cannot be listed (Permission denied)" in said("render")


def test_a_pipe_among_the_rendered_files_is_replaced_and_not_waited_for(root: Path) -> None:
    assert main(["render", "--only", "acme", "--root", str(root)]) == 0
    file = next((root / "rendered").rglob("core_namespace_acme-train.yaml"))
    file.unlink()
    os.mkfifo(file)
    assert main(["render", "--only", "acme", "--check", "--root", str(root)]) == 1
    assert main(["render", "--only", "acme", "--root", str(root)]) == 0
    assert file.is_file()


def test_a_tenant_that_finds_no_room_is_named_and_leaves_nothing(
    root: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def full(path: Path, mode: str = "r", **options: Any) -> Any:
        if mode == "x":
            opened(path, mode, **options).close()
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, mode, **options)

    monkeypatch.setattr(Path, "open", full)
    assert "tenants/hooli.yaml: cannot be written (No space left on device)" in said("new", "hooli")
    assert not (root / "tenants/hooli.yaml").exists()
