"""The linter reads aliases as kubectl does, within bounds; what a rendered tree is proved from may hold none."""

from functools import partial
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from isolation.linting.aliases import MOST_EVENTS, Aliases, Budget
from isolation.linting.findings import Finding
from isolation.linting.inputs import Inputs
from isolation.linting.linter import lint
from isolation.manifests.reading import read_all, read_documents
from isolation.manifests.refusals import Refused

HEAD = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: web, namespace: team-a}\n"
SHARED = HEAD + (
    "spec:\n  endpointSelector: {}\n  egress:\n"
    "    - toFQDNs: &nobody []\n"
    '      toPorts: &https [{ports: [{port: "443", protocol: TCP}]}]\n'
    "    - toFQDNs: *nobody\n"
    "      toPorts: *https\n"
)


def found(text: str) -> list[Finding]:
    inputs = Inputs()
    inputs.add("f.yaml", text)
    return list(lint(inputs).findings)


def values(text: str) -> Any:
    """As the linter reads the text."""
    prepared = partial(Aliases, where="f", budget=Budget())
    return [read.body for read in read_all(text, where="f", prepared=prepared)]


def test_a_policy_with_aliases_is_judged_and_they_are_noted() -> None:
    assert [(one.rule, one.severity, one.line, one.path) for one in found(SHARED)] == [
        ("TN101", "error", 7, "spec.egress[0].toFQDNs"),
        ("TN007", "note", 9, ""),
        ("TN101", "error", 9, "spec.egress[1].toFQDNs"),
    ]


def test_a_finding_inside_of_an_alias_stands_at_its_anchor() -> None:
    text = SHARED.replace("[]", "[{matchName: a.example}]").replace("TCP}", "TCP, endPort: 80}")
    assert [(one.line, one.path[:14]) for one in found(text) if one.rule == "TN611"] == [
        (8, "spec.egress[0]"),
        (8, "spec.egress[1]"),
    ]


def test_a_tree_that_is_proved_may_hold_no_alias() -> None:
    with pytest.raises(Refused, match="an anchor is used twice"):
        list(read_documents(SHARED, where="f"))


def bomb(levels: int) -> str:
    lines = ["p0: &p0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"p{level}: &p{level} [{', '.join([f'*p{level - 1}'] * 10)}]" for level in range(1, levels)]
    return HEAD + "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        (bomb(9), 8, f"aliases write more than {MOST_EVENTS} values"),
        (HEAD + "spec: &s {endpointSelector: {}, egress: [*s]}\n", 4, "*s stands inside of &s"),
        (HEAD + "spec: {endpointSelector: *s, egress: [{}]}\n", 4, "*s has no anchor above it"),
        (HEAD + "spec: &s {endpointSelector: {<<: {a: b}}}\n", 4, "`<<` merges mappings for some readers only"),
        (HEAD + f"spec: &s [{'1, ' * MOST_EVENTS}]\n", 4, f"anchors hold more than {MOST_EVENTS} values"),
        (SHARED + "---\n" + HEAD + "spec: *https\n", 15, "*https has no anchor above it"),
        (HEAD + "a: &a x\nb: {*a : 1, x: 2}\n", 5, "key 'x' stands twice"),
    ],
)
def test_aliases_without_bounds_are_an_error_and_end_soon(text: str, line: int, why: str) -> None:
    (refused,) = [one for one in found(text) if one.rule == "TN002"]
    assert why in refused.message
    assert refused.line == line


def test_documents_of_one_file_share_its_bound() -> None:
    text = bomb(4)  # writes about 13,600 values
    assert [one.rule for one in found(text) if one.rule == "TN002"] == []
    assert len([one for one in found("---\n".join([text] * 3)) if one.rule == "TN002"]) > 0


def test_a_name_that_is_anchored_again_means_the_last_value_above() -> None:
    assert values("a: &x {b: &y 1}\nc: &y 2\nd: *x\ne: *y\nf: &x 3\ng: *x\n") == [
        {"a": {"b": 1}, "c": 2, "d": {"b": 1}, "e": 2, "f": 3, "g": 3}
    ]


NODES = st.recursive(
    st.sampled_from(["x", "a b", 7, None, True]), lambda inner: st.lists(inner, max_size=3), max_leaves=6
)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_aliases_are_read_as_another_reader_does(data: st.DataObject) -> None:
    shared: list[Any] = [[data.draw(NODES)]]
    for _ in range(data.draw(st.integers(1, 4))):
        picked = data.draw(st.lists(st.integers(0, len(shared) - 1), min_size=1, max_size=3))
        shared.append([shared[index] for index in picked] + [data.draw(NODES)])
    text = yaml.safe_dump({"all": shared}, default_flow_style=data.draw(st.booleans()))
    assert values(text) == [yaml.safe_load(text)]
