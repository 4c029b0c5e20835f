"""The label filter: which labels of a pod count. Cilium's defaults, and what a cluster's own patterns make of them."""

import json

import pytest
from isolation.manifests.refusals import Refused
from isolation.policies.label_filter import DEFAULT_FILTER, label_filter
from isolation.policies.labels import Label, PodLabels, read_label
from isolation.policies.ports import NamedPorts
from isolation.worlds.answering import answers

PLATFORM = ("k8s:io.kubernetes.pod.namespace", "k8s:io.cilium.k8s.policy")


@pytest.mark.parametrize(
    ("key", "counts"),
    [
        ("app", True),
        ("app.kubernetes.io/name", True),
        ("io.kubernetes.pod.namespace", True),
        ("io.kubernetes.container.name", False),
        ("kubernetes.io/arch", False),
        ("x.kubernetes.io/arch", True),
        ("beta.kubernetes.io/arch", False),
        ("node.beta.kubernetes.io/arch", False),
        ("topology.kubernetes.io/zone", False),
        ("pod-template-hash", False),
        ("batch.kubernetes.io/job-name", True),
        ("batch.kubernetes.io/controller-uid", False),
        ("io.cilium.k8s.policy.serviceaccount", True),
        ("annotation.x", False),
    ],
)
def test_the_default_filter_leaves_out_what_cilium_leaves_out(key: str, counts: bool) -> None:  # noqa: FBT001
    assert DEFAULT_FILTER.counts("k8s", key) is counts


def test_entities_always_count() -> None:
    assert all(kept.counts("reserved", "host") for kept in (DEFAULT_FILTER, label_filter(PLATFORM)))


def test_one_own_pattern_that_includes_makes_an_allow_list() -> None:
    assert not label_filter(PLATFORM).counts("k8s", "app")
    assert label_filter(["!app"]).counts("k8s", "other")


def test_the_longest_include_beats_the_shortest_ignore() -> None:
    kept = label_filter(["!foo", "foo.bar", "!foo.bar.baz"])
    assert [kept.counts("k8s", key) for key in ("foo", "foo.bar", "foo.bar.baz")] == [False, True, True]


def test_a_pattern_with_a_source_is_about_that_source_only() -> None:
    assert DEFAULT_FILTER.counts("container", "x")
    assert not label_filter(["k8s:x"]).counts("container", "x")


@pytest.mark.parametrize("pattern", ["(", "k8s:", "k8s:[", "a" * 5000])
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(Refused, match="label filter"):
        label_filter([pattern])


def test_a_pattern_that_explodes_elsewhere_is_answered_at_once() -> None:
    assert not label_filter(["(a+)+b"]).counts("k8s", "a" * 5000)


def test_a_selector_on_a_filtered_label_matches_nothing() -> None:
    spec = {"endpointSelector": {"matchLabels": {"app": "s"}}, "egress": [{}]}
    metadata = {"name": "p", "namespace": "a"}
    body = {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": metadata, "spec": spec}
    pod = {"namespace": "a", "labels": {"app": "s"}}
    line = {"policies": [body], "from": pod, "to": pod, "port": 80}
    bare, filtered = (line | {"config": {"label_prefixes": list(own)}} for own in ((), PLATFORM))
    assert [answer["verdict"] for answer in answers(map(json.dumps, (bare, filtered)))] == ["deny", "allow"]


def test_named_ports_are_a_label_that_no_filter_leaves_out() -> None:
    ports: NamedPorts = {("web", "TCP"): 80, ("dns", "UDP"): 53}
    pod = PodLabels(namespace="a", account="default", cluster="default", namespace_labels={}, chosen={})
    found = pod.identity(label_filter(PLATFORM), ports).all
    assert Label("gen", "io.cilium.k8s.named-ports", "dns.UDP.53_web.TCP.80") in found


def test_many_named_ports_take_several_labels() -> None:
    ports: NamedPorts = {(f"port-number-{number:02}", "TCP"): 8000 + number for number in range(6)}
    pod = PodLabels(namespace="a", account="", cluster="default", namespace_labels={}, chosen={})
    made = sorted(label for label in pod.identity(named_ports=ports).all if label.source == "gen")
    assert [label.key.rpartition("named-ports")[2] for label in made] == ["", "-1", "-2"]
    assert all(len(label.value) <= 63 for label in made)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("k8s:a=b=c", Label("k8s", "a", "b=c")),
        ("reserved:host", Label("reserved", "host")),
        ("$host", Label("reserved", "host")),
        ("reserved:=host", Label("reserved", "host")),
        ("a=b", Label("unspec", "a", "b")),
    ],
)
def test_the_text_of_a_label_is_read_as_cilium_writes_it(text: str, label: Label) -> None:
    assert read_label(text) == label
