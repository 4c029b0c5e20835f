"""Peers and subjects that are wider than they look.

Source: Cilium 1.20, pkg/k8s/apis/cilium.io/utils (terms added to selectors), pkg/policy/api/entity.go, pkg/k8s/utils
(SanitizePodLabels: which labels a pod's author cannot forge).
"""

import re
from collections.abc import Iterator
from ipaddress import ip_network

from isolation.linting.findings import Hit
from isolation.linting.objects import CLUSTERWIDE, NATIVE, Entry, Policy, Spec
from isolation.linting.plain import listed, mapped
from isolation.linting.selectors import Selector, Term
from isolation.manifests.reading import DocumentPath
from isolation.policies.addresses import RFC_1918
from isolation.policies.labels import CLUSTER, NAMESPACE

_CHURNING = re.compile(
    r"job-name|controller-uid|batch\.kubernetes\.io/.*|rollouts-pod-template-hash|workflows\.argoproj\.io/.*"
)
_NODES = frozenset({"host", "remote-node"})
_PRIVATE = (*RFC_1918, ip_network("100.64.0.0/10"))


def peers(policy: Policy) -> Iterator[Hit]:
    """Peers and subjects of one object."""
    for spec in policy.specs:
        yield from _subject(spec)
        if policy.kind == NATIVE:
            yield from _native(spec)
    for entry in policy.entries:
        for selector in entry.selectors:
            yield from _churn(policy, selector)
        if not entry.is_deny:
            yield from _entities(entry)
            yield from _services(entry)
            yield from _or_not_and(entry)
            yield from _ranges(policy, entry.ranges)
            for selector in entry.selectors:
                yield from _selector(entry, selector)


def _subject(spec: Spec) -> Iterator[Hit]:
    policy = spec.policy
    allows = any(not entry.is_deny for entry in spec.entries)
    asks = any(spec.wants_default_deny(entry.direction) for entry in spec.entries)
    if (
        policy.kind == CLUSTERWIDE
        and allows
        and asks
        and "endpointSelector" in spec.body
        and spec.subject.is_everything
    ):
        detail = "default deny falls on every pod of every namespace, kube-system and Cilium's own endpoints included"
        yield Hit("TN419", policy, spec.subject.path, detail)
    yield from _churn(policy, spec.subject)


def _selector(entry: Entry, selector: Selector) -> Iterator[Hit]:
    """One item of toEndpoints or fromEndpoints of an allow."""
    policy = entry.policy
    reserved = [term for term in selector.terms if term.source == "reserved"]
    if reserved:
        rule = "TN402" if any(term.is_positive for term in reserved) else "TN401"
        yield Hit(rule, policy, reserved[0].path, f"reserved:{reserved[0].key} takes the namespace term away")
        return
    named = [term for term in selector.terms if term.is_namespace]
    if policy.kind == CLUSTERWIDE and not named:
        yield Hit("TN403", policy, selector.path, "no namespace is named: pods of every namespace are meant")
    elif named and not any(_pins(term) for term in named):
        trusted = any(term.is_trusted and not term.is_namespace and term.operator == "In" for term in selector.terms)
        if not trusted:
            detail = "no namespace is pinned, and every other label is its pod's author's to choose"
            yield Hit("TN411", policy, named[0].path, detail)
    if named and not any(term.pins_namespace for term in named):
        labels = [term for term in named if term.key != NAMESPACE]
        if labels:
            yield Hit("TN412", policy, labels[0].path, f"whoever may label a Namespace joins: {labels[0].key}")


def _pins(term: Term) -> bool:
    """By name, or by a label that the namespace must carry with a value."""
    return term.operator == "In"


def _entities(entry: Entry) -> Iterator[Hit]:
    policy, on_nodes = entry.policy, "nodeSelector" in entry.spec.body
    for path, name in entry.entities:
        if name == "all":
            yield Hit("TN404", policy, path, "`all` is everyone: pods, nodes, the API server, the internet")
        elif name == "cluster":
            yield Hit("TN406", policy, path, "`cluster` is every pod of every namespace, and the nodes")
        elif name == "kube-apiserver" and entry.is_egress and not entry.has_ports:
            yield Hit("TN408", policy, path, "every port of the control plane's nodes, 10250 and 2379 among them")
        elif name in _NODES and entry.is_egress and not on_nodes and not entry.has_ports:
            yield Hit("TN407", policy, path, f"every port of `{name}`: kubelet, node ports, pods on the node's network")
        elif name.startswith("world") and not on_nodes:
            rule, what = ("TN405", "the whole internet") if entry.is_egress else ("TN409", "anyone outside")
            yield Hit(rule, policy, path, f"`{name}` is {what}")
        elif name == "ingress" and not entry.is_egress and not entry.has_ports:
            yield Hit("TN410", policy, path, "every Gateway and Ingress of the cluster, on every port")


def other_clusters(policy: Policy, *, local: str) -> Iterator[Hit]:
    """Peers of an allow that live, or may live, in another cluster of the mesh. local: name of the policy's own."""
    for entry in policy.entries:
        for selector in () if entry.is_deny else entry.selectors:
            for term in selector.terms:
                if term.key == CLUSTER and term.source != "reserved" and not _is_only(term, local):
                    named = ", ".join(term.values) or "any cluster"
                    yield Hit("TN420", policy, term.path, f"pods of {named} are meant; the policy's own is {local}")


def _is_only(term: Term, value: str) -> bool:
    return term.operator == "In" and term.values == (value,)


def _services(entry: Entry) -> Iterator[Hit]:
    for path, item in entry.items("Services"):
        for field in ("k8sService", "k8sServiceSelector"):
            if field in mapped(item) and not mapped(mapped(item)[field]).get("namespace"):
                detail = "without a namespace, Services of that name in every namespace are meant"
                yield Hit("TN414", entry.policy, (*path, field), detail)


def _or_not_and(entry: Entry) -> Iterator[Hit]:
    """Items are alternatives: one that names only namespaces beside one that names only pods."""
    only_namespaces = [each for each in entry.selectors if each.terms and all(term.is_namespace for term in each.terms)]
    only_pods = [each for each in entry.selectors if each.terms and not any(term.is_namespace for term in each.terms)]
    if only_namespaces and only_pods:
        path = only_namespaces[0].path
        yield Hit(
            "TN415", entry.policy, path, "all pods of these namespaces, or pods with those labels: either is enough"
        )


def _ranges(policy: Policy, ranges: list[tuple[DocumentPath, str]]) -> Iterator[Hit]:
    for path, text in ranges:
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            continue
        if any(network.version == each.version and network.subnet_of(each) for each in _PRIVATE):  # type: ignore[arg-type]
            yield Hit("TN416", policy, path, f"{text} selects no pod and no node, whatever their addresses are")


def _churn(policy: Policy, selector: Selector) -> Iterator[Hit]:
    for term in selector.terms:
        if _CHURNING.fullmatch(term.key):
            yield Hit("TN418", policy, term.path, f"{term.key} changes with every run")


def _native(spec: Spec) -> Iterator[Hit]:
    """Peers of a NetworkPolicy: `from` and `to`."""
    for section, side in (("ingress", "from"), ("egress", "to")):
        for index, entry in enumerate(listed(spec.body.get(section))):
            path = (*spec.path, section, index, side)
            items = [mapped(item) for item in listed(mapped(entry).get(side))]
            alone = [set(item) for item in items]
            if {"namespaceSelector"} in alone and {"podSelector"} in alone:
                place = (*path, alone.index({"namespaceSelector"}))
                detail = "all pods of these namespaces, or pods with those labels: either is enough"
                yield Hit("TN415", spec.policy, place, detail)
            blocks = [
                ((*path, number, "ipBlock", "cidr"), str(mapped(item.get("ipBlock")).get("cidr", "")))
                for number, item in enumerate(items)
                if "ipBlock" in item
            ]
            yield from _ranges(spec.policy, blocks)
