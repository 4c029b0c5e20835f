"""Label selectors that the agent accepts (label_syntax.py), with the terms that Cilium adds by itself.

Source: Cilium 1.20, pkg/k8s/apis/cilium.io/utils/utils.go (getEndpointSelector), pkg/policy/api/selector.go.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property

from isolation.manifests.node import Node
from isolation.policies.labels import CLUSTER, NAMESPACE, NAMESPACE_LABELS, Labels, reserved

# Sources whose labels stand for addresses and names, which selectors of labels cannot be asked about here.
_SOURCES_OF_ADDRESSES = frozenset({"cidr", "cidrgroup", "fqdn"})
AGGREGATES = ("aggregate-cluster", "aggregate-cluster-mesh", "aggregate-world")
STARTING = ("reserved", "init")  # pods whose labels are not known yet


@dataclass(frozen=True)
class Requirement:
    """One term. source `any` reads the key under every source."""

    source: str
    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def holds(self, labels: Labels) -> bool:
        value = labels.value(self.source, self.key)
        return self.holds_for(() if value is None else (value,))

    def holds_for(self, there: Collection[str]) -> bool:
        """Whether the term holds where the key has these values; with none the key is absent."""
        match self.operator:
            case "In":
                return any(value in self.values for value in there)
            case "NotIn":
                return not any(value in self.values for value in there)
            case "Exists":
                return bool(there)
            case _:
                return not there


@dataclass(frozen=True)
class LabelSelector:
    """All terms together; no term selects everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Labels) -> bool:
        return all(requirement.holds(labels) for requirement in self.requirements)

    @cached_property
    def aggregates(self) -> frozenset[str]:
        """Of the identities that stand for whole groups, those that the terms match: see entities.py."""
        return frozenset(name for name in AGGREGATES if self.matches(reserved(name)))

    @cached_property
    def namespaces(self) -> frozenset[str] | None:
        """The only namespaces whose pods the selector can match, or None when it may match any."""
        terms = (term for term in self.requirements if term.key == NAMESPACE and term.source in {"k8s", "any"})
        pins = [term.values for term in terms if term.operator == "In"]
        return frozenset.intersection(*pins) if pins else None

    def values_of(self, key: str) -> frozenset[str]:
        """Values that positive terms name for the key."""
        named = (term.values for term in self.requirements if term.key == key and term.operator in {"In", "NotIn"})
        return frozenset().union(*named)


@dataclass(frozen=True)
class Scope:
    """Where a selector stands. namespace: None in a clusterwide policy; cluster: None when any cluster counts.

    starts: the policy's subject names pods whose labels are not known yet, so that no namespace is asked of its peers.
    """

    namespace: str | None
    cluster: str | None
    starts: bool = False


def subject_selector(node: Node, scope: Scope) -> LabelSelector:
    """endpointSelector. In a namespaced policy the own namespace replaces one written with `k8s:`; one written
    without a source stays beside it, so that a foreign one selects nothing."""
    labels, expressions = _labels(node), _expressions(node)
    if scope.namespace is not None:
        labels = [term for term in labels if (term.source, term.key) != ("k8s", NAMESPACE)]
        labels.append(is_in("k8s", NAMESPACE, scope.namespace))
    return _selector([*labels, *expressions])


def node_selector(node: Node) -> LabelSelector:
    """nodeSelector of a clusterwide policy, as written."""
    return _selector(_written(node))


def names_starting(selector: LabelSelector) -> bool:
    """Whether a subject names `reserved:init`."""
    return any((term.source, term.key) == STARTING for term in selector.requirements)


def peer_selector(node: Node, scope: Scope) -> LabelSelector:
    """fromEndpoints, toEndpoints. A selector with any `reserved:` key gets neither namespace nor cluster term."""
    written = _written(node)
    if any(term.source == "reserved" for term in written):
        return _selector(written)
    added = []
    if not any(_is_of_pods(term, NAMESPACE) for term in written):
        if scope.namespace is None:
            added += [] if scope.starts else [Requirement("k8s", NAMESPACE, "Exists")]
        elif not any(_names_namespace_labels(term) for term in written):
            added.append(is_in("k8s", NAMESPACE, scope.namespace))
    return _selector([*written, *added, *_cluster_term(written, scope)])


def node_peer_selector(node: Node, scope: Scope) -> LabelSelector:
    """fromNodes, toNodes: remote nodes only, by the labels of their Node objects."""
    written = _written(node)
    remote = Requirement("reserved", "remote-node", "Exists")
    return _selector([*written, remote, *_cluster_term(written, scope)])


def prefixed_selector(node: Node, source: str) -> LabelSelector:
    """A selector whose keys without a source are of this one."""
    return _selector(_written(node, source))


def is_in(source: str, key: str, *values: str) -> Requirement:
    return Requirement(source, key, "In", frozenset(values))


def _cluster_term(written: list[Requirement], scope: Scope) -> list[Requirement]:
    if scope.cluster is None or any(_is_of_pods(term, CLUSTER) for term in written):
        return []
    return [is_in("k8s", CLUSTER, scope.cluster)]


def _is_of_pods(term: Requirement, key: str) -> bool:
    return term.source in {"k8s", "any"} and term.key == key


def _names_namespace_labels(term: Requirement) -> bool:
    return term.source in {"k8s", "any"} and term.key.startswith(NAMESPACE_LABELS)


def _selector(terms: list[Requirement]) -> LabelSelector:
    """`unspec:` is `any:` once it is compared, not where a namespace is looked for."""
    settled = (replace(term, source="any") if term.source == "unspec" else term for term in terms)
    return LabelSelector(tuple(settled))


def _written(node: Node, source: str = "any") -> list[Requirement]:
    return _labels(node, source) + _expressions(node, source)


def _labels(node: Node, source: str = "any") -> list[Requirement]:
    """matchLabels. Raises Refused for one key in two spellings: which of the two holds is chance in the agent."""
    labels = node.at("matchLabels")
    terms: dict[tuple[str, str], Requirement] = {}
    for key, value in sorted((labels.value or {}).items()):
        at = _key(labels, key, source)
        term = is_in(*at, value)
        if terms.setdefault(at, term) != term:
            raise labels.refused(f"{key!r} stands there under two spellings with two values; keep one")
    return list(terms.values())


def _expressions(node: Node, source: str = "any") -> list[Requirement]:
    return [_expression(item, source) for item in node.each("matchExpressions")]


def _expression(node: Node, source: str) -> Requirement:
    values = frozenset(node.value.get("values", ()))
    return Requirement(*_key(node, node.value.get("key", ""), source), node.value.get("operator", ""), values)


def _key(node: Node, written: str, default: str) -> tuple[str, str]:
    """`k8s:app` -> (k8s, app); a key without a source has the default one, `any`: it is read under every source."""
    source, colon, bare = written.partition(":")
    if not colon:
        return default, written
    if source in _SOURCES_OF_ADDRESSES and source != default:
        raise node.refused(f"label source {source!r} is not understood; write toCIDR, toCIDRSet or toFQDNs")
    return source, bare
