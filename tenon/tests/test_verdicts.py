"""`tenon verdicts`: JSON Lines in, one answer per line out, in order."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tenon import verdicts
from tenon.__main__ import main

ROOT = Path(__file__).parents[2]

Asked = Callable[[bytes], tuple[int, list[dict[str, object]]]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Asked:
    """The exit code and the answers to what is written on standard input."""

    def run(text: bytes) -> tuple[int, list[dict[str, object]]]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
        code = main(["verdicts"])
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


@pytest.mark.requirement("A24")
def test_the_recorded_cases_are_answered_in_order(ask: Asked) -> None:
    cases = (ROOT / "policy-tests" / "cases" / "seen.jsonl").read_bytes()
    code, answers = ask(cases)
    assert code == 0
    assert [answer["id"] for answer in answers] == [json.loads(line)["id"] for line in cases.splitlines()]


def test_a_bad_line_is_told_and_the_next_one_answered(ask: Asked) -> None:
    world = b'{"type": "world", "id": "w", "policies": []}\n'
    code, answers = ask(world + b'\n{"id": 1\n\xff\n{"id": 2, "from": {"ip": "::1"}, "to": {"ip": "::2"}, "port": 1}')
    assert code == 2
    assert ["error" in answer for answer in answers] == [False, True, True, False]
    assert answers[-1]["verdict"] == "allow"


def test_a_line_too_long_to_be_read_is_passed_over(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "MAX_LINE_BYTES", 100)
    code, answers = ask(b" " * 1000 + b'{"type": "world"}\n' + b'{"type": "world", "id": 7, "policies": []}\n')
    assert code == 2
    assert "longer than 100 bytes" in str(answers[0]["error"])
    assert answers[1]["id"] == 7


def test_nothing_asked_is_nothing_answered(ask: Asked) -> None:
    assert ask(b"") == (0, [])
