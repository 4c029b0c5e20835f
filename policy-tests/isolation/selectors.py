"""Label selectors, parsed strictly, with the terms that Cilium adds by itself.

Source: Cilium 1.20, pkg/k8s/apis/cilium.io/utils/utils.go (getEndpointSelector), pkg/policy/api/selector.go.
"""

from dataclasses import dataclass
from functools import cached_property

from isolation.labels import CLUSTER, NAMESPACE, NAMESPACE_LABELS, Labels
from isolation.node import Node

_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


@dataclass(frozen=True)
class Requirement:
    """One term. source `any` reads the key under every source."""

    source: str
    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def holds(self, labels: Labels) -> bool:
        value = labels.value(self.source, self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case _:
                return value is None


@dataclass(frozen=True)
class LabelSelector:
    """All terms together; no term selects everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Labels) -> bool:
        return all(requirement.holds(labels) for requirement in self.requirements)

    @cached_property
    def namespaces(self) -> frozenset[str] | None:
        """The only namespaces whose pods the selector can match, or None when it may match any."""
        pins = [term.values for term in self.requirements if term.key == NAMESPACE and term.operator == "In"]
        return frozenset.intersection(*pins) if pins else None

    def values_of(self, key: str) -> frozenset[str]:
        """Values that positive terms name for the key."""
        named = (term.values for term in self.requirements if term.key == key and term.operator in {"In", "NotIn"})
        return frozenset().union(*named)


@dataclass(frozen=True)
class Scope:
    """Where a selector stands. namespace: None in a clusterwide policy; cluster: None when any cluster counts."""

    namespace: str | None
    cluster: str | None


def subject_selector(node: Node, scope: Scope) -> LabelSelector:
    """endpointSelector. In a namespaced policy the own namespace replaces one written with `k8s:`; one written
    without a source stays beside it, so that a foreign one selects nothing."""
    labels, expressions = _labels(node), _expressions(node)
    if scope.namespace is not None:
        labels = [term for term in labels if (term.source, term.key) != ("k8s", NAMESPACE)]
        labels.append(_in("k8s", NAMESPACE, scope.namespace))
    return LabelSelector((*labels, *expressions))


def peer_selector(node: Node, scope: Scope) -> LabelSelector:
    """fromEndpoints, toEndpoints. A selector with any `reserved:` key gets neither namespace nor cluster term."""
    written = _requirements(node)
    if any(term.source == "reserved" for term in written):
        return LabelSelector(tuple(written))
    added = []
    if not any(_names_namespace(term) for term in written):
        own = scope.namespace
        added.append(Requirement("k8s", NAMESPACE, "Exists") if own is None else _in("k8s", NAMESPACE, own))
    if scope.cluster is not None and not any(term.key == CLUSTER for term in written):
        added.append(_in("k8s", CLUSTER, scope.cluster))
    return LabelSelector((*written, *added))


def plain_selector(node: Node, scope: Scope) -> LabelSelector:
    """podSelector of a NetworkPolicy: keys are labels of pods of the policy's namespace."""
    terms = (Requirement("k8s", term.key, term.operator, term.values) for term in _requirements(node))
    return LabelSelector((*terms, _in("k8s", NAMESPACE, scope.namespace or "")))


def _in(source: str, key: str, *values: str) -> Requirement:
    return Requirement(source, key, "In", frozenset(values))


def _names_namespace(term: Requirement) -> bool:
    if term.source not in {"k8s", "any"}:
        return False
    return term.key == NAMESPACE or term.key.startswith(NAMESPACE_LABELS)


def _requirements(node: Node) -> list[Requirement]:
    return _labels(node) + _expressions(node)


def _labels(node: Node) -> list[Requirement]:
    labels = node.fields("matchLabels", "matchExpressions").get("matchLabels")
    if labels is None or labels.is_missing:
        return []
    return [_in(*_key(value, key), value.text()) for key, value in labels.fields(*labels.value).items()]


def _expressions(node: Node) -> list[Requirement]:
    expressions = node.fields("matchLabels", "matchExpressions").get("matchExpressions")
    if expressions is None or expressions.is_missing:
        return []
    return [_expression(item) for item in expressions.items()]


def _expression(node: Node) -> Requirement:
    fields = node.fields("key", "operator", "values")
    if "key" not in fields or "operator" not in fields:
        raise node.refused("an expression needs `key` and `operator`")
    operator = fields["operator"].text()
    if operator not in _OPERATORS:
        raise fields["operator"].refused(f"{operator!r} is no operator; known: {', '.join(_OPERATORS)}")
    values = frozenset(value.text() for value in fields["values"].items()) if "values" in fields else frozenset()
    if (operator in {"In", "NotIn"}) != bool(values):
        raise node.refused(f"{operator} with {len(values)} values; In and NotIn need some, the others none")
    return Requirement(*_key(fields["key"], fields["key"].text()), operator, values)


def _key(node: Node, written: str) -> tuple[str, str]:
    """`k8s:app` -> (k8s, app); a key without a source is read under every source."""
    source, colon, bare = written.partition(":")
    if not colon:
        return "any", written
    if source not in {"k8s", "any", "reserved"}:
        raise node.refused(f"label source {source!r} is not understood; known: k8s, any, reserved")
    return source, bare
