"""Every recorded verdict of Cilium's engine 1.20.2 is our verdict, and no recorded question is refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from isolation.worlds.answering import answers

CASES = Path(__file__).parent / "cases"
FILES = ("seen.jsonl", "claims.jsonl")
NOT_COMPUTED = {"1.8-http-then-sni/s-w-443"}  # its recorded verdict is `error`


def recorded(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    lines = (CASES / name).read_text(encoding="utf-8").splitlines()
    return zip(map(json.loads, lines), answers(lines), strict=True)


def given(answer: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """The answer, cut to what the case expects."""
    l7 = sorted({rules["parser"] for side in ("egress", "ingress") for rules in answer.get(side, {}).get("l7", ())})
    found = {
        "expect": answer["verdict"],
        "expect_egress": answer["egress"]["verdict"],
        "expect_ingress": answer["ingress"]["verdict"],
        "expect_dns": answer.get("dns"),
        "expect_l7": ",".join(l7),
    }
    return {key: value for key, value in found.items() if key in expected}


@pytest.mark.parametrize("file", FILES)
def test_every_recorded_flow_has_the_verdict_of_ciliums_engine(file: str) -> None:
    for case, answer in recorded(file):
        if case.get("type") != "world":
            wanted = {key: value for key, value in case.items() if key.startswith("expect")}
            assert given(answer, wanted) == wanted, case["id"]


def test_no_recorded_question_is_refused() -> None:
    cases = [pair for file in FILES for pair in recorded(file)]
    assert {case["id"] for case, answer in cases if "refused" in answer or "error" in answer} == NOT_COMPUTED


@pytest.mark.requirement("A24")
def test_an_object_is_rejected_where_ciliums_agent_rejects_it() -> None:
    for case, answer in recorded("claims.jsonl"):
        if case.get("type") == "world":
            wanted = case.get("expect_policies", ["accepted"] * len(case["policies"]))
            accepted = [policy["accepted"] for policy in answer["policies"]]
            assert accepted == [verdict == "accepted" for verdict in wanted], case["id"]
