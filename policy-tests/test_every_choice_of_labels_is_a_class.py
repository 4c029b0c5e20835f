"""The proof ranges over every label that a pod's author may choose, and a broken one names such a pod."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isolation.classes.assignments import MOST, assignments
from isolation.classes.cluster import Cluster, cluster_of
from isolation.classes.pod_classes import STRANGER, UNKNOWN, selectors_of
from isolation.manifests.refusals import Refused
from isolation.manifests.tree import Document, Tree
from isolation.network.flows import apart, closed
from isolation.policies.labels import NAMESPACE, PodLabels
from isolation.policies.selectors import LabelSelector, Requirement

KEYS, VALUES = ("app", "team", "k8s-app"), ("a", "b", "c")
TERMS = st.builds(
    lambda source, key, operator, values: Requirement(
        source, key, operator, values if operator in {"In", "NotIn"} else frozenset()
    ),
    st.sampled_from(("any", "k8s")),
    st.sampled_from((*KEYS, NAMESPACE)),
    st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist")),
    st.frozensets(st.sampled_from((*VALUES, "acme-train")), min_size=1, max_size=2),
)
SELECTORS = st.lists(st.lists(TERMS, max_size=3).map(lambda terms: LabelSelector(tuple(terms))), max_size=5)


def pod(namespace: str = "acme-train", **chosen: str) -> PodLabels:
    return PodLabels(namespace=namespace, account="step", cluster="default", namespace_labels={}, chosen=chosen)


def answers(selectors: list[LabelSelector], labels: dict[str, str]) -> tuple[bool, ...]:
    return tuple(selector.matches(pod(**labels).identity()) for selector in selectors)


@pytest.mark.requirement("A2", "A24")
@settings(max_examples=60, deadline=None)
@given(selectors=SELECTORS)
def test_each_pod_that_may_be_labelled_is_answered_like_one_of_the_classes(selectors: list[LabelSelector]) -> None:
    classes = {answers(selectors, dict(chosen)) for chosen in assignments(pod(), selectors)}
    for values in product((None, *VALUES, "something-else"), repeat=len(KEYS)):
        labels = {key: value for key, value in zip(KEYS, values, strict=True) if value is not None}
        assert answers(selectors, labels) in classes


@settings(max_examples=60, deadline=None)
@given(selectors=SELECTORS)
def test_no_two_classes_are_answered_alike(selectors: list[LabelSelector]) -> None:
    found = [answers(selectors, dict(chosen)) for chosen in assignments(pod(), selectors)]
    assert len(found) == len(set(found))


def test_without_selectors_on_chosen_labels_a_namespace_and_account_is_one_class() -> None:
    trusted = LabelSelector((Requirement("k8s", NAMESPACE, "In", frozenset({"acme-train"})),))
    assert list(assignments(pod(), [trusted])) == [{}]


def test_a_forged_key_of_the_clusters_is_no_choice() -> None:
    forged = LabelSelector((Requirement("k8s", "io.cilium.k8s.something", "Exists"),))
    assert list(assignments(pod(), [forged])) == [{}]


def test_selectors_that_leave_too_many_choices_are_refused() -> None:
    many = [LabelSelector((Requirement("k8s", f"key-{index}", "Exists"),)) for index in range(12)]
    with pytest.raises(Refused, match=f"4096 assignments|more than {MOST}"):
        list(assignments(pod(), [*many, LabelSelector((Requirement("k8s", "last", "Exists"),))]))


@pytest.mark.requirement("A24")
def test_a_flow_that_a_chosen_label_opens_is_broken_with_the_pod_that_uses_it(
    tree: Tree, policy: Callable[[str], Document]
) -> None:
    def change(body: dict[str, Any]) -> None:
        peers = body["spec"]["ingress"][0]["fromEndpoints"]
        peers.append({"matchLabels": {"team": "red"}, "matchExpressions": [{"key": NAMESPACE, "operator": "Exists"}]})

    broken = apart(cluster_of(tree.changed(policy("acme-serve/requests"), change))).broken
    probes = [example.probe for example in broken if example.probe and "globex-train/step" in example.what]
    assert {"namespace": "globex-train", "service_account": "step", "labels": {"team": "red"}} in [
        probe["from"] for probe in probes
    ]


@pytest.mark.requirement("A24")
def test_a_label_that_takes_a_pod_out_of_its_policies_is_noticed(tree: Tree, policy: Callable[[str], Document]) -> None:
    def change(body: dict[str, Any]) -> None:
        body["spec"]["podSelector"] = {"matchExpressions": [{"key": "free", "operator": "DoesNotExist"}]}

    broken = closed(cluster_of(tree.changed(policy("acme-train/default-deny"), change))).broken
    assert any(example.who == "acme-train/default labelled free=another-value" for example in broken)


def test_an_account_of_another_namespace_is_the_unknown_account_there(cluster: Cluster) -> None:
    """So that the classes are all accounts of the tree in all of its namespaces, and a stranger's."""
    selectors = set(selectors_of(cluster.rules))
    namespaces = {document.name: document.labels for document in cluster.tree.of_kind("Namespace")}
    accounts = {document.name for document in cluster.tree.of_kind("ServiceAccount")}
    for namespace, account in product((*namespaces, STRANGER), accounts):
        labels = PodLabels(
            namespace=namespace,
            account=account,
            cluster="default",
            namespace_labels=namespaces.get(namespace, {}),
            chosen={},
        ).identity()
        known = [each for each in cluster.classes.by_namespace[namespace] if each.account in {account, UNKNOWN}]
        wanted = [selector.matches(labels) for selector in selectors]
        assert wanted in [[selector.matches(each.identity.labels) for selector in selectors] for each in known]
