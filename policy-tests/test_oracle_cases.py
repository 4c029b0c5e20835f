"""Every recorded case is Cilium's engine's answer today: the files state what the engine says, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
from controlplane.oracle import Oracle
from differential.expected import differences, expected, is_refused
from isolation.worlds.answering import answers

pytestmark = pytest.mark.oracle

CASES = Path(__file__).parent / "cases"
FILES = sorted(path.name for path in CASES.glob("*.jsonl"))


def lines_of(file: str) -> list[str]:
    return (CASES / file).read_text(encoding="utf-8").splitlines()


def wanted(case: dict[str, Any]) -> dict[str, Any]:
    """What the case expects; of a world that says nothing, that every object is accepted."""
    given = {key: value for key, value in case.items() if key.startswith("expect")}
    return given or {"expect_policies": ["accepted"] * len(case.get("policies", ()))}


def found(case: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """The engine's answer, cut to what the case expects."""
    made = expected(answer)
    return {key: made.get(key) for key in wanted(case)}


@pytest.mark.requirement("A24", "N1")
@pytest.mark.parametrize("file", FILES)
def test_a_recorded_case_is_what_ciliums_engine_answers(file: str, oracle: Oracle) -> None:
    cases = [json.loads(line) for line in lines_of(file)]
    engines = [json.loads(answer) for answer in oracle.ask_text(lines_of(file))]
    wrong = [case["id"] for case, answer in zip(cases, engines, strict=True) if found(case, answer) != wanted(case)]
    print(f"\n{file}: {len(cases)} lines, {len(wrong)} not as recorded", flush=True)
    assert not wrong


@pytest.mark.requirement("A24", "N1")
@pytest.mark.parametrize("file", FILES)
def test_a_recorded_case_is_answered_by_us_as_by_ciliums_engine(file: str, oracle: Oracle) -> None:
    ours, engines = list(answers(lines_of(file))), map(json.loads, oracle.ask_text(lines_of(file)))
    wrong = [(mine, *fields) for mine, each in zip(ours, engines, strict=True) if (fields := differences(mine, each))]
    refused = sum(map(is_refused, ours))
    print(f"\n{file}: {len(ours)} lines, {refused} refused by name, {len(wrong)} different", flush=True)
    assert not wrong
    assert not refused


def test_bad_lines_are_answered_with_an_error_and_the_next_line_is_read(oracle: Oracle) -> None:
    lines = ["{", "[]", '{"id": 1}', '{"type": "world", "policies": 3}', '{"type": "world", "id": "w", "policies": []}']
    *refused, world = map(json.loads, oracle.ask_text(lines))
    assert all(answer["error"] for answer in refused)
    assert world["policies"] == []


def test_an_object_on_which_the_engine_panics_is_rejected_and_the_world_stands(oracle: Oracle) -> None:
    body = {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "n", "namespace": "a"}}
    flow = {"from": {"namespace": "a"}, "to": {"namespace": "b"}, "port": 80}
    world, answer = oracle.ask([{"type": "world", "policies": [body | {"specs": [None]}]}, flow])
    assert world["policies"][0]["parse_error"].startswith("panic")
    assert answer["verdict"] == "allow"
