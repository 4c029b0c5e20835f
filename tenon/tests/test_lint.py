"""`tenon lint`: its forms, its exit codes, and input that is not what it should be."""

import io
import json
import os
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tenon.__main__ import main
from tenon.lint import MAX_BYTES

HEAD = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a, namespace: team-a}\n"
EMPTY = HEAD + "spec:\n  endpointSelector: {}\n  egress: []\n"
WORLD = HEAD + "spec:\n  endpointSelector: {}\n  egress: [{toEntities: [world]}]\n"
CLEAN = HEAD + "spec:\n  endpointSelector: {}\n  egress: [{}]\n"
ALIAS_BOMB = "a: &a [1]\n" + "".join(f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in pairwise("abcdefg"))

Write = Callable[[str], str]


@pytest.fixture
def file(tmp_path: Path) -> Write:
    def write(text: str) -> str:
        path = tmp_path / "policies.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(
    ("text", "bar", "code"),
    [
        (CLEAN, "note", 0),
        (EMPTY, "error", 1),
        (EMPTY, "never", 0),
        (WORLD, "error", 0),
        (WORLD, "warning", 1),
        ("a: [", "never", 2),
    ],
)
def test_the_exit_code_says_whether_findings_reach_the_bar(text: str, bar: str, code: int, file: Write) -> None:
    assert main(["lint", file(text), "--fail-on", bar]) == code


@pytest.mark.requirement("N13")
def test_a_finding_is_told_with_line_rule_place_explanation_and_fix(
    file: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    name = file(EMPTY)
    main(["lint", name])
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{name}\n    6  error TN201 empty-section: `egress: []` denies nothing")
    assert "at CiliumNetworkPolicy team-a/a spec.egress\n" in printed.out
    assert "fix: Write a list with one empty entry, `[{}]`, to deny all.\n" in printed.out
    assert printed.err == "1 error: 1 policy in 1 file\n"
    assert max(map(len, printed.out.splitlines()[1:])) <= 100


def test_json_is_one_document_with_every_finding(file: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", file(EMPTY), "--json"]) == 1
    found = document(capsys)
    (finding,) = found["findings"]
    assert (finding["rule"], finding["severity"], finding["line"], finding["path"]) == (
        "TN201",
        "error",
        6,
        "spec.egress",
    )
    assert found["counts"] == {"error": 1}


def test_sarif_names_rule_file_and_line(file: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, log = file(EMPTY), tmp_path / "lint.sarif"
    assert main(["lint", name, "--sarif", str(log)]) == 1
    (result,) = json.loads(log.read_text("utf-8"))["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert (result["ruleId"], place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("TN201", name, 6)
    capsys.readouterr()
    main(["lint", name, "--sarif", "-"])
    assert document(capsys)["version"] == "2.1.0"


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(EMPTY.encode())))
    assert main(["lint", "-", "--json"]) == 1
    assert document(capsys)["findings"][0]["file"] == "stdin"


def test_a_folder_is_read_with_those_below_it_but_not_hidden_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.yaml", "b/c.yml", "b/d.json", ".git/e.yaml", "b/f.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(CLEAN, encoding="utf-8")
    assert main(["lint", str(tmp_path), "--json"]) == 0
    assert document(capsys)["files"] == 3


def test_a_disabled_rule_finds_nothing_and_an_unknown_one_is_refused(
    file: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lint", file(EMPTY), "--disable", "TN201,TN200"]) == 0
    assert main(["lint", file(EMPTY), "--disable", "TN999"]) == 2
    assert "--disable TN999: no such rule" in capsys.readouterr().err


@pytest.mark.parametrize("form", [[], ["--json"], ["--markdown"]])
def test_the_rules_are_listed(form: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "--list", *form]) == 0
    printed = capsys.readouterr().out
    assert "no-names-is-everyone" in printed
    assert form or max(map(len, printed.splitlines())) <= 100


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff\xfe\x00", "is no UTF-8 text (byte 0)"),
        (b"a: 1\n" * (MAX_BYTES // 5 + 1), "is larger than 8 MiB"),
        (b"a: {", "is no YAML"),
        (b"[" * 200_000, "is nested deeper than 64"),
        (ALIAS_BOMB.encode(), "aliases write more than 20000 values"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_finding_and_the_others_are_linted(
    content: bytes, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    (tmp_path / "b.yaml").write_text(EMPTY, encoding="utf-8")
    assert main(["lint", str(tmp_path), "--json"]) == 2
    unreadable, judged = document(capsys)["findings"]
    assert (unreadable["rule"], judged["rule"]) == ("TN001", "TN201")
    assert why in unreadable["message"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "name files, folders, or - for standard input"),
        ([""], "'': no such file or folder"),
        (["nowhere.yaml"], "nowhere.yaml: no such file or folder"),
        (["EMPTY"], "holds no .yaml, .yml or .json file"),
        (["EMPTY", "--json", "--sarif", "-"], "both want standard output"),
        (["FILE", "--sarif", "EMPTY"], "cannot be written"),
    ],
)
def test_a_mistake_of_the_caller_is_one_line(
    words: list[str], why: str, file: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    names = {"EMPTY": str(tmp_path / "empty"), "FILE": file(CLEAN)}
    assert main(["lint", *(names.get(word, word) for word in words)]) == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize("named", ["", "pipe.yaml"])
def test_a_pipe_is_a_finding_and_is_not_waited_for(
    named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    assert main(["lint", str(tmp_path / named), "--json"]) == 2
    (finding,) = document(capsys)["findings"]
    assert (finding["rule"], finding["message"][:23]) == ("TN001", "is a pipe or a device, ")


def test_what_a_shell_opened_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    os.write(writer, EMPTY.encode())
    os.close(writer)
    assert main(["lint", f"/dev/fd/{reader}", "--json"]) == 1
    os.close(reader)
    assert document(capsys)["policies"] == 1


def test_a_document_without_policies_that_is_not_read_is_counted(
    file: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    name = file(f"made: 2020-01-01\n---\n{CLEAN}")
    assert main(["lint", name]) == 0
    assert "clean: 1 policy in 1 file; 1 document without policies not read" in capsys.readouterr().err
    assert main(["lint", name, "--json"]) == 0
    assert document(capsys)["notRead"] == 1


def test_an_empty_file_is_clean(file: Write) -> None:
    assert main(["lint", file("")]) == 0
