"""What the linter reads: many documents, lists, JSON, comments, other kinds, junk; and what it says of our own tree."""

import copy
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from differential.generate import worlds
from hypothesis import given, settings
from hypothesis import strategies as st
from isolation.linting.inputs import Inputs
from isolation.linting.linter import Report, lint
from isolation.linting.objects import Policy
from isolation.manifests.refusals import Refused
from isolation.manifests.tree import Document, Tree
from isolation.policies.parsing import parse_policy

SHUT = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: NAME, namespace: team-a}\nspec:\n"
EMPTY = SHUT.replace("NAME", "empty") + "  endpointSelector: {}\n  egress: []\n"
WORLD = SHUT.replace("NAME", "world") + "  endpointSelector: {}\n  egress:\n    - toEntities: [world]\n"


def read(text: str, file: str = "f.yaml") -> Report:
    inputs = Inputs()
    inputs.add(file, text)
    return lint(inputs)


def places(report: Report) -> list[tuple[str, int, str]]:
    return [(one.rule, one.line, one.path) for one in report.findings if one.severity == "error"]


def test_a_finding_has_the_line_and_the_path_of_its_document() -> None:
    assert places(read(f"# head\n---\n{WORLD}---\n{EMPTY}")) == [("TN201", 16, "spec.egress")]


def test_a_finding_in_a_list_has_the_path_of_its_item() -> None:
    body = json.loads('{"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "a"}}')
    sections: list[list[Any]] = [[{}], []]
    items = [body | {"spec": {"endpointSelector": {}, "egress": section}} for section in sections]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1)
    assert [(rule, path) for rule, _, path in places(read(text))] == [
        ("TN706", "items[1].metadata.name"),
        ("TN201", "items[1].spec.egress"),
    ]


def test_a_document_that_cannot_be_judged_hides_no_other() -> None:
    twice = EMPTY.replace("kind:", "kind: x\nkind:", 1)
    assert places(read(f"{twice}---\n{EMPTY}")) == [("TN002", 1, ""), ("TN201", 14, "spec.egress")]


def test_other_kinds_are_passed_over_and_counted() -> None:
    report = read("kind: Deployment\nspec: {a: &x 1, b: *x}\n---\nkind: ConfigMap\n---\n" + WORLD)
    assert (report.policies, report.passed_over, places(report)) == (1, 2, [])


def test_a_broken_file_is_unreadable_even_without_a_policy() -> None:
    assert read("a: [").is_unreadable
    assert not read("a: 1").is_unreadable


@pytest.mark.parametrize(
    "comment", ["  # tenon-lint: ignore TN201 why\n  egress: []\n", "  egress: []  # tenon-lint: ignore TN201\n"]
)
def test_a_comment_silences_the_rule_that_it_names_on_its_line(comment: str) -> None:
    report = read(EMPTY.replace("  egress: []\n", comment))
    assert (places(report), report.ignored) == ([], 1)
    assert places(read(EMPTY.replace("  egress: []\n", comment.replace("TN201", "TN202")))) != []


def test_settings_of_the_cluster_settle_what_depends_on_them() -> None:
    policy = SHUT.replace("NAME", "nodes") + "  endpointSelector: {}\n  ingress: [{fromNodes: [{}]}]\n"
    head = "kind: ConfigMap\nmetadata: {name: cilium-config}\ndata: {enable-node-selector-labels: 'VALUE'}\n---\n"
    found = {
        value: {one.rule for one in read(head.replace("VALUE", value) + policy).findings} for value in ("true", "false")
    }
    assert "TN220" in found["false"]
    assert not {"TN220", "TN200"} & found["true"]


def test_two_files_of_one_object_are_two_states_of_it_and_no_siblings() -> None:
    server = "{'k8s:io.kubernetes.pod.namespace': kube-system}"
    dns = SHUT.replace("NAME", "dns") + (
        f"  endpointSelector: {{}}\n  egress:\n    - toEndpoints: [{{matchLabels: {server}}}]\n"
        "      toPorts: [{ports: [{port: '53', protocol: UDP}], rules: {dns: [{matchName: a.example}]}}]\n"
    )
    plain = dns.replace(", rules: {dns: [{matchName: a.example}]}", "")
    for other, is_voided in ((plain, False), (plain.replace("name: dns", "name: plain"), True)):
        inputs = Inputs()
        inputs.add("before.yaml", dns)
        inputs.add("after.yaml", other)
        assert ("TN701" in {one.rule for one in lint(inputs).findings}) is is_voided


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(4)))
def test_the_order_of_documents_changes_no_finding(order: list[int]) -> None:
    names = ["a", "b", "c", "d"]
    texts = [(WORLD if index % 2 else EMPTY).replace("name: ", f"name: {name}-") for index, name in enumerate(names)]
    found = [(one.rule, one.subject) for one in read("---\n".join(texts)).findings]
    shuffled = [(one.rule, one.subject) for one in read("---\n".join(texts[index] for index in order)).findings]
    assert sorted(found) == sorted(shuffled)


JUNK: list[Any] = [None, [], {}, [None], [[]], [{}], "", "x", "*", 0, -1, 10**30, True, {"a": None}, [1], {"ports": 1}]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_junk_anywhere_in_a_policy_is_a_finding_and_no_crash(tree: Tree, data: st.DataObject) -> None:
    policies = list(tree.of_kind("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "NetworkPolicy"))
    document = data.draw(st.sampled_from(policies))
    body = copy.deepcopy(document.body)
    place: Any = body
    while isinstance(place, dict | list) and place:
        key = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.integers(0, 3)) == 0:
            place[key] = data.draw(st.sampled_from(JUNK))
            break
        place = place[key]
    inputs = Inputs()
    inputs.objects.append(Policy(Document("f", body, dict(document.lines))))
    lint(inputs)


def of_cases(file: Path) -> Iterator[Any]:
    for line in file.read_text("utf-8").splitlines():
        yield from json.loads(line).get("policies") or ()


def generated() -> Iterator[Any]:
    """Of the worlds that are put to Cilium's engine as well."""
    for seed in range(60):
        for made in worlds(seed, flows=1):
            yield from made.world["policies"]


POLICIES = {file.stem: partial(of_cases, file) for file in sorted((Path(__file__).parent / "cases").glob("*.jsonl"))}


@pytest.mark.parametrize("source", [*POLICIES, "generated"])
def test_what_the_evaluator_rejects_is_an_error_and_nothing_else_is_called_refused(source: str) -> None:
    """TN2 is the chapter of refusals; TN230 is only a remark in it."""
    asked = 0
    for body in POLICIES.get(source, generated)():
        document = Document("f", body, {})
        try:
            read = parse_policy(document, cluster="default", strict=False)
        except Refused:
            continue
        inputs = Inputs()
        inputs.objects.append(Policy(document))
        found = [one for one in lint(inputs).findings if one.severity == "error" or one.rule.startswith("TN2")]
        called_refused = [one.rule for one in found if one.rule.startswith("TN2") and one.rule != "TN230"]
        assert found or not read.rejected, body
        assert not called_refused or read.rejected or read.schema_faults, body
        asked += 1
    assert asked > 0


def test_our_own_tree_is_free_of_errors_and_its_one_warning_is_known() -> None:
    """The webhook sender has a list of its own and one per tenant with callbacks."""
    inputs = Inputs()
    for file in sorted((Path(__file__).parents[1] / "rendered").rglob("*.yaml")):
        inputs.add(file.name, file.read_text("utf-8"))
    found = {(one.rule, one.file) for one in lint(inputs).findings if one.severity != "note"}
    assert found == {("TN702", "cilium.io_ciliumnetworkpolicy_webhooks-acme-dns.yaml")}
