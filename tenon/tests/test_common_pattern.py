"""docs/guides/common-pattern.md: what each promise of a published pattern is worth, and what a rendered tree says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from isolation.worlds.answering import answers

from tenon.__main__ import main

ROOT = Path(__file__).parent.parent.parent
GUIDE = ROOT / "docs" / "guides" / "common-pattern.md"
POLICIES = ROOT / "docs" / "guides" / "common-pattern" / "policies.yaml"
LINES = (ROOT / "policy-tests" / "cases" / "published.jsonl").read_text(encoding="utf-8").splitlines()
CASES: list[dict[str, Any]] = [json.loads(line) for line in LINES]


@pytest.mark.requirement("A25", "A26", "A27", "A28")
def test_every_promise_of_the_pattern_is_answered_as_the_guide_says() -> None:
    told = re.findall(r"^\| ([^|]+) \| [^|]+ \| \*\*(\w+)\*\*", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    found = {answer["id"]: answer for answer in answers(LINES) if "verdict" in answer}
    given = [(found[case["id"]].get("dns") or found[case["id"]]["verdict"]) for case in CASES[1:]]
    assert given == [answer for _, answer in told]


def test_the_name_in_tls_opens_another_bucket_behind_a_shared_address() -> None:
    (answer,) = (each for each in answers(LINES) if each["id"] == "published/server-name")
    assert (answer["sni"]["verdict"], answer["sni"]["basis"]) == ("allow", "model")


def test_the_world_of_the_cases_holds_the_policies_of_the_guide() -> None:
    assert CASES[0]["policies"] == list(yaml.safe_load_all(POLICIES.read_text(encoding="utf-8")))


@pytest.mark.requirement("A22", "N13")
def test_the_linter_finds_each_fault_in_the_files_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "--json", str(POLICIES)]) == 1
    found = {finding["rule"] for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert found >= {"TN201", "TN501", "TN503", "TN504", "TN602", "TN807"}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (["acme/train", "dns:tenon-globex.storage.svc.cluster.local"], "refused"),
        (["acme/train", "s3:globex"], "deny"),
        (["acme/train/default", "ip:203.0.113.9:443"], "deny"),
        (["acme/train", "s3:acme"], "allow"),
    ],
)
def test_a_rendered_tree_keeps_what_the_pattern_promises(
    question: list[str], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", "--root", str(ROOT), "--json", *question]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == answer
