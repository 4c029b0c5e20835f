"""Every rule of the linter finds its bad example and passes its good one, and says what the evaluator sees."""

from pathlib import Path

import pytest
from isolation.linting.catalogue import LintRule, catalogue, chapters, example_documents
from isolation.linting.findings import SEVERITIES, Finding
from isolation.linting.inputs import Inputs
from isolation.linting.linter import lint
from isolation.linting.page import catalogue_page
from isolation.policies.identities import Identity, pod
from isolation.policies.labels import PodLabels
from isolation.policies.parsing import Parsed, parse_policy
from isolation.policies.ports import Port
from isolation.verdicts.world import Dns, PolicyWorld

ROOT = Path(__file__).parents[1]
RULES = list(catalogue().values())
BY_ID = pytest.mark.parametrize("rule", RULES, ids=[rule.id for rule in RULES])


def findings(text: str) -> tuple[Finding, ...]:
    inputs = Inputs()
    inputs.add("example.yaml", example_documents(text))
    return lint(inputs).findings


def parsed(text: str) -> list[Parsed]:
    inputs = Inputs()
    inputs.add("example.yaml", example_documents(text))
    policies = [each.document for each in inputs.objects if each.kind.endswith("NetworkPolicy")]
    return [parse_policy(document, cluster="default", strict=False) for document in policies]


def a_pod(namespace: str, **chosen: str) -> Identity:
    labels = PodLabels(namespace=namespace, account="default", cluster="default", namespace_labels={}, chosen=chosen)
    return pod(namespace, labels.identity())


@pytest.mark.requirement("N13")
@BY_ID
def test_a_rule_finds_its_bad_example_and_passes_its_good_one(rule: LintRule) -> None:
    assert rule.id in {finding.rule for finding in findings(rule.bad)}
    passed = findings(rule.good)
    assert rule.id not in {finding.rule for finding in passed}
    assert [finding for finding in passed if finding.severity == "error"] == []


def test_every_rule_is_stated_whole_and_stands_once() -> None:
    assert len({rule.id for chapter in chapters() for rule in chapter.rules}) == sum(
        len(one.rules) for one in chapters()
    )
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert {rule.severity for rule in RULES} == set(SEVERITIES)
    assert [rule.id for rule in RULES if not rule.explanation.endswith(".") or not rule.fix.endswith(".")] == []


REFUSED = [rule for rule in RULES if rule.id.startswith("TN2") and rule.severity == "error"]


@pytest.mark.parametrize("rule", REFUSED, ids=[rule.id for rule in REFUSED])
def test_what_is_called_refused_is_refused_by_the_agent_or_by_the_schema(rule: LintRule) -> None:
    assert any(one.rejected or one.schema_faults for one in parsed(rule.bad))
    assert not any(one.rejected or one.schema_faults for one in parsed(rule.good))


@pytest.mark.parametrize(
    ("rule", "port", "wants"),
    [
        ("TN101", Port(443, "TCP"), (True, False)),
        ("TN102", Port(443, "TCP"), (True, False)),
        ("TN103", Port(5432, "TCP"), (True, False)),
        ("TN104", Port(5432, "TCP"), (True, False)),
        ("TN105", Port(443, "TCP"), (True, False)),
        ("TN112", Port(443, "TCP"), (True, False)),
        ("TN113", Port(5432, "TCP"), (True, False)),
        ("TN201", Port(443, "TCP"), (True, False)),
        ("TN306", Port(443, "TCP"), (True, False)),
        ("TN321", Port(443, "TCP"), (False, True)),
        ("TN401", Port(443, "TCP"), (True, False)),
        ("TN404", Port(443, "TCP"), (True, False)),
    ],
)
def test_what_is_called_open_or_closed_is_so_for_a_stranger(rule: str, port: Port, wants: tuple[bool, bool]) -> None:
    """A pod of team-a to a pod of team-b, under the bad example and under the good one."""
    for text, is_open in zip((catalogue()[rule].bad, catalogue()[rule].good), wants, strict=True):
        world = PolicyWorld([one for policy in parsed(text) for one in policy.rules])
        assert world.side(a_pod("team-a"), "egress").verdict(a_pod("team-b"), port).is_allowed is is_open


def test_a_voided_dns_rule_answers_every_name() -> None:
    server = a_pod("kube-system", **{"k8s-app": "kube-dns"})
    answers = []
    for text in (catalogue()["TN701"].bad, catalogue()["TN701"].good):
        world = PolicyWorld([one for policy in parsed(text) for one in policy.rules])
        side = world.side(a_pod("team-a"), "egress")
        answers.append(side.name_filter(server, Port(53, "UDP")).query("evil.example"))
    assert answers == [Dns.ANSWERED, Dns.REFUSED]


def test_the_page_is_what_the_command_prints() -> None:
    assert (ROOT / "docs" / "lint-rules.md").read_text("utf-8") == catalogue_page()
