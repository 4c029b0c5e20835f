"""`tenon render`: what it prints, what it writes, and the exit codes others rely on."""

import json
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from tenon.__main__ import main


def test_a_tree_that_was_rendered_passes_the_check(root: Path) -> None:
    assert main(["render", "--root", str(root)]) == 0
    assert main(["render", "--check", "--root", str(root)]) == 0


def test_drift_fails_the_check_and_says_what_to_run(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "--check", "--only", "acme", "--root", str(root)]) == 1
    said = capsys.readouterr().err
    assert "is out of date; run `tenon render --only acme` and commit the result" in said
    assert not (root / "rendered").exists()


def test_the_json_answer_is_one_document_with_every_path(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "--only", "acme", "--json", "--root", str(root)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["tenants"] == ["acme"]
    assert len(answer["missing"]) == answer["files"] > 50
    assert answer["stale"] == answer["different"] == []


def test_faulty_inputs_are_all_printed_and_nothing_is_written(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for tenant in ("acme", "globex"):
        path = root / "tenants" / f"{tenant}.yaml"
        path.write_text(path.read_text().replace("displayName", "displayname"))
    assert main(["render", "--root", str(root)]) == 2
    said = capsys.readouterr().err
    assert "tenants/acme.yaml:3: displayname: is no key here" in said
    assert "tenants/globex.yaml:3: displayname: is no key here" in said
    assert "2 errors in 2 files" in said
    assert not (root / "rendered").exists()


@pytest.mark.parametrize("words", [["--only", "hooli"], ["--only", "../x"]])
def test_a_tenant_without_a_file_is_bad_input(root: Path, words: list[str]) -> None:
    assert main(["render", *words, "--root", str(root)]) == 2


def test_a_folder_without_inputs_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "--root", str(tmp_path)]) == 2
    assert "platform.yaml:1: cannot be read" in capsys.readouterr().err


def test_a_killed_process_is_a_missing_component_and_nothing_is_written(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise BrokenProcessPool("terminated abruptly")

    monkeypatch.setattr("generators.rendering.render", killed)
    assert main(["render", "--root", str(root)]) == 3
    assert "a process of the rendering was killed (terminated abruptly); is memory short?" in capsys.readouterr().err
    assert not (root / "rendered").exists()
