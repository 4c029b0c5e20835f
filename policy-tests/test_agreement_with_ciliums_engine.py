"""Every recorded verdict of Cilium's engine 1.20.2 is our verdict, or the case is refused and listed here."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from isolation.worlds import answers

CASES = Path(__file__).parent / "cases"

# Refused as a whole: the host firewall (nodeSelector), and HTTP meeting server names on one port.
REFUSED_WORLDS = frozenset({"35"})
REFUSED_FLOWS = frozenset({"1.8-sni-then-http/s-w-443", "1.8-http-then-sni/s-w-443"})


def recorded(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    lines = (CASES / name).read_text(encoding="utf-8").splitlines()
    return zip(map(json.loads, lines), answers(lines), strict=True)


def given(answer: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """The answer, cut to what the case expects."""
    l7 = sorted({kind for side in ("egress", "ingress") for kind in answer.get(side, {}).get("l7", ())})
    found = {
        "expect": answer["verdict"],
        "expect_egress": answer["egress"]["verdict"],
        "expect_ingress": answer["ingress"]["verdict"],
        "expect_dns": answer.get("dns"),
        "expect_l7": ",".join(l7),
    }
    return {key: value for key, value in found.items() if key in expected}


@pytest.mark.parametrize("file", ["seen.jsonl", "claims.jsonl"])
def test_every_answered_flow_has_the_verdict_of_ciliums_engine(file: str) -> None:
    for case, answer in recorded(file):
        if case.get("type") != "world" and "refused" not in answer:
            wanted = {key: value for key, value in case.items() if key.startswith("expect")}
            assert given(answer, wanted) == wanted, case["id"]


def test_only_the_listed_cases_are_refused() -> None:
    cases = [pair for file in ("seen.jsonl", "claims.jsonl") for pair in recorded(file)]
    refused = {case["id"] for case, answer in cases if "refused" in answer}
    assert {name for name in refused if name.split("/")[0] not in REFUSED_WORLDS} == REFUSED_FLOWS
    assert len(refused) < 0.05 * len(cases)


@pytest.mark.requirement("A24")
def test_an_object_is_rejected_where_ciliums_agent_rejects_it() -> None:
    for case, answer in recorded("claims.jsonl"):
        if case.get("type") == "world":
            wanted = case.get("expect_policies", ["accepted"] * len(case["policies"]))
            assert answer["accepted"] == [verdict == "accepted" for verdict in wanted], case["id"]
