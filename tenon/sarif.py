"""Findings as SARIF 2.1.0, the form that code scanning reads (OASIS standard, sections 3.13 - 3.28)."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = ("error", "warning", "note")


@dataclass(frozen=True)
class Rule:
    """What a finding is an instance of. fix: the remedy, in one sentence."""

    id: str
    name: str
    explanation: str
    fix: str = ""


@dataclass(frozen=True)
class Finding:
    """One place where a rule does not hold. level: of LEVELS; file: as the user named it, or empty; line: from 1."""

    rule: str
    level: str
    message: str
    file: str
    line: int = 1


def sarif(rules: Sequence[Rule], findings: Iterable[Finding]) -> dict[str, Any]:
    """One SARIF log of one run. KeyError for a finding of an unknown rule."""
    index = {rule.id: number for number, rule in enumerate(rules)}
    driver = {"name": "tenon", "rules": [_rule(rule) for rule in rules]}
    results = [_result(finding, index[finding.rule]) for finding in findings]
    for result, identity in zip(results, _identities(results), strict=True):
        # by this an alert stays the same one while lines above it come and go; code scanning reads no other key
        result["partialFingerprints"] = {"primaryLocationLineHash": identity}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _rule(rule: Rule) -> dict[str, Any]:
    made: dict[str, Any] = {"id": rule.id, "name": rule.name, "shortDescription": {"text": rule.explanation}}
    return made | ({"help": {"text": rule.fix}} if rule.fix else {})


def _result(finding: Finding, index: int) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": finding.file}, "region": {"startLine": finding.line}}
    made = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.level,
        "message": {"text": finding.message},
    }
    return made | ({"locations": [{"physicalLocation": place}]} if finding.file else {})


def _identities(results: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A text for each, from its rule, file and message; the second that says the same in a file is number 2 of it."""
    seen = Counter[str]()
    for result in results:
        files = [place["physicalLocation"]["artifactLocation"]["uri"] for place in result.get("locations", ())]
        said = json.dumps([result["ruleId"], files, result["message"]["text"]])
        seen[said] += 1
        yield f"{sha256(said.encode()).hexdigest()[:16]}:{seen[said]}"
