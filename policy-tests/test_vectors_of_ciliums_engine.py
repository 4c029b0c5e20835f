"""What Cilium's engine answered to generated worlds when it was last asked is what our evaluator answers."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from differential.campaign import ours
from differential.expected import is_refused
from differential.generate import CATALOGUE
from differential.vectors import VECTORS, mismatches

HERE = Path(__file__).parent
MODULE = "github.com/cilium/cilium"
Line = dict[str, Any]


def read(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def recorded() -> tuple[Line, list[Line], list[Line]]:
    """The heading, the lines, and our answers to them."""
    heading, *lines = read(VECTORS)
    return heading, lines, ours(lines)


@pytest.mark.requirement("A24", "N1")
def test_every_recorded_answer_of_the_engine_is_ours(recorded: tuple[Line, list[Line], list[Line]]) -> None:
    _, lines, answers = recorded
    assert mismatches(lines, answers) == []
    assert sum(line.get("type") != "world" for line in lines) >= 2500


def test_few_recorded_flows_are_refused(recorded: tuple[Line, list[Line], list[Line]]) -> None:
    assert sum(map(is_refused, recorded[2])) < 0.03 * len(recorded[1])


def test_a_wrong_answer_would_be_noticed(recorded: tuple[Line, list[Line], list[Line]]) -> None:
    _, lines, answers = recorded
    turned = {"allow": "deny", "deny": "allow"}
    changed = [a | {"verdict": turned[a["verdict"]]} if a.get("verdict") in turned else a for a in answers]
    assert len(mismatches(lines, changed)) > 2000


def test_every_shape_of_the_catalogue_is_recorded(recorded: tuple[Line, list[Line], list[Line]]) -> None:
    assert set(recorded[0]["shapes"]) == CATALOGUE, "run `python -m differential.vectors`"


def test_the_vectors_are_of_the_engine_that_is_pinned(recorded: tuple[Line, list[Line], list[Line]]) -> None:
    pins = re.findall(rf"^\s*{MODULE} (v\S+)", (HERE / "oracle" / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    assert pins == [recorded[0]["engine"]], "run `python -m differential.vectors`"


def test_what_once_differed_differs_no_more() -> None:
    lines = read(HERE / "cases" / "regressions.jsonl")
    answers = ours(lines)
    assert mismatches(lines, answers) == []
    assert not any(map(is_refused, answers))
