"""Label selectors: every key form, operator and empty shape that Cilium reads in its own way."""

from typing import Any

from differential.draw import ABSENT, Draw, Table, always, written

NAMESPACE = "io.kubernetes.pod.namespace"
ACCOUNT = "io.cilium.k8s.policy.serviceaccount"
CLUSTER = "io.cilium.k8s.policy.cluster"
TEAM = "io.cilium.k8s.namespace.labels.team"

NAMESPACES = {"a": {"team": "red", "kubernetes.io/metadata.name": "a"}, "b": {"team": "blue"}, "kube-system": {}}
ACCOUNTS = ("default", "worker", "coredns")

# Values that the keys of a term may ask for; a key of another table entry keeps its own.
_VALUES: dict[str, tuple[str, ...]] = {
    NAMESPACE: tuple(NAMESPACES),
    ACCOUNT: ACCOUNTS,
    CLUSTER: ("default", "east"),
    TEAM: ("red", "blue"),
    "io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name": ("a", "b"),
    "k8s-app": ("kube-dns",),
    "world": ("",),
    "host": ("",),
    "ingress": ("",),
    "kube-apiserver": ("",),
}

KEYS = Table(
    "label key",
    {
        "plain": (60, lambda draw: draw.one(("app", "tier", "k8s-app"))),
        "source k8s": (40, lambda draw: draw.one(("k8s:app", "k8s:tier", "k8s:k8s-app"))),
        "source any": (15, always("any:app")),
        "namespace, no source": (20, always(NAMESPACE)),
        "namespace, source k8s": (45, always("k8s:" + NAMESPACE)),
        "namespace, source any": (8, always("any:" + NAMESPACE)),
        "namespace label, no source": (8, always(TEAM)),
        "namespace label, source k8s": (15, always("k8s:" + TEAM)),
        "namespace label of the name": (
            5,
            always("k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name"),
        ),
        "account, no source": (10, always(ACCOUNT)),
        "account, source k8s": (20, always("k8s:" + ACCOUNT)),
        "cluster, no source": (5, always(CLUSTER)),
        "cluster, source k8s": (8, always("k8s:" + CLUSTER)),
        "reserved": (12, lambda draw: "reserved:" + draw.one(("host", "world", "ingress", "kube-apiserver"))),
        "entity's name, no source": (4, lambda draw: draw.one(("host", "world"))),
        "left out by the filter": (6, lambda draw: draw.one(("pod-template-hash", "k8s:kubernetes.io/x"))),
        "kept by the filter": (6, lambda draw: draw.one(("app.kubernetes.io/name", "k8s:app.kubernetes.io/name"))),
        "named ports": (2, always("gen:io.cilium.k8s.named-ports")),
        "another source": (2, lambda draw: draw.one(("foo:app", "unspec:app", "container:app"))),
        "source as a prefix with a dot": (2, lambda draw: draw.one(("k8s.app", "any.app", "reserved.host"))),
        "no source before the colon": (1, always(":app")),
        "two colons": (1, always("k8s:any:app")),
        "broken": (2, lambda draw: draw.one(("bad key", "-app", "a/b/c", "k8s:", ""))),
    },
    broken=frozenset({"no source before the colon", "broken"}),
)

OPERATORS = Table(
    "operator",
    {
        "In": (40, lambda draw: _expression(draw, "In", least=1)),
        "NotIn": (30, lambda draw: _expression(draw, "NotIn", least=1)),
        "Exists": (30, lambda draw: _expression(draw, "Exists")),
        "DoesNotExist": (30, lambda draw: _expression(draw, "DoesNotExist")),
        "In without values": (1, lambda draw: _expression(draw, "In") | {"values": []}),
        "NotIn without values": (1, lambda draw: _expression(draw, "NotIn") | {"values": None}),
        "Exists with values": (1, lambda draw: _expression(draw, "Exists", least=1)),
        "Exists with an empty list": (2, lambda draw: _expression(draw, "Exists") | {"values": []}),
        "unknown": (1, lambda draw: _expression(draw, draw.one(("Gt", "in", "")))),
    },
    broken=frozenset({"In without values", "NotIn without values", "Exists with values", "unknown"}),
)

SELECTORS = Table(
    "selector",
    {
        "empty": (30, always({})),
        "labels": (70, lambda draw: {"matchLabels": labels(draw)}),
        "expressions": (35, lambda draw: {"matchExpressions": expressions(draw)}),
        "both": (20, lambda draw: {"matchLabels": labels(draw), "matchExpressions": expressions(draw)}),
        "empty labels": (3, always({"matchLabels": {}})),
        "no labels": (2, always({"matchLabels": None})),
        "empty expressions": (2, always({"matchExpressions": []})),
        "no expressions": (2, lambda draw: {"matchExpressions": None, "matchLabels": labels(draw)}),
        "broken value": (1, always({"matchLabels": {"app": "bad value!"}})),
        "unknown field": (1, always({"matchFields": [{"key": "app"}]})),
        "null": (1, always(None)),
    },
    broken=frozenset({"broken value"}),
)


def selector(draw: Draw) -> Any:
    return draw.shape(SELECTORS)


def pod_selector(draw: Draw) -> dict[str, Any]:
    """A selector of Kubernetes' own kinds, which knows no sources; `team` is a label of namespaces."""
    keys = ("app", "tier", "team", "k8s-app", "kubernetes.io/metadata.name", "k8s:app")
    labels = {key: draw.one(_values(key)) for key in draw.some(keys[: 5 + draw.chance(0.1)], least=0)}
    expression = draw.shape(OPERATORS) | {"key": draw.one(keys[:5])} if draw.chance(0.3) else None
    return written({"matchLabels": labels or ABSENT, "matchExpressions": [expression] if expression else ABSENT})


def labels(draw: Draw) -> dict[str, str]:
    return {key: draw.one(_values(key)) for key in draw.times(_key)}


def expressions(draw: Draw) -> list[dict[str, Any]]:
    return draw.times(lambda again: again.shape(OPERATORS))


def _key(draw: Draw) -> str:
    return str(draw.shape(KEYS))


def _expression(draw: Draw, operator: str, *, least: int = 0) -> dict[str, Any]:
    key = _key(draw)
    values = draw.some(_values(key), least=least, most=2 * least)
    return {"key": key, "operator": operator} | ({"values": values} if values else {})


def _values(key: str) -> tuple[str, ...]:
    return _VALUES.get(key.rpartition(":")[2], ("x", "y"))
