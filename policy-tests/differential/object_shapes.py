"""Policy objects: which sections stand, what asks for default deny, and the three kinds that carry them."""

from typing import Any

from differential.draw import ABSENT, Draw, Table, always, written
from differential.peer_shapes import RANGES, peers
from differential.port_shapes import PORT_NAMES, ports
from differential.selector_shapes import NAMESPACES, pod_selector, selector

NAMESPACED, CLUSTERWIDE = "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"
_FLAGS = (True, False, None)

DEFAULT_DENY = Table(
    "enableDefaultDeny",
    {
        "absent": (60, always(ABSENT)),
        "off": (10, always({"ingress": False, "egress": False})),
        "on": (4, always({"ingress": True, "egress": True})),
        "one direction": (10, lambda draw: {draw.one(("ingress", "egress")): draw.one(_FLAGS)}),
        "each its own": (6, lambda draw: {"ingress": draw.one(_FLAGS), "egress": draw.one(_FLAGS)}),
        "empty": (2, lambda draw: draw.one(({}, None))),
    },
)

BESIDE = Table(
    "beside peers and ports",
    {
        "nothing": (60, always({})),
        "authentication": (2, lambda draw: {"authentication": {"mode": draw.one(("required", "disabled"))}}),
        "authentication that always fails": (0.5, always({"authentication": {"mode": "test-always-fail"}})),
        "unknown mode of authentication": (0.5, always({"authentication": {"mode": "tls"}})),
        "no authentication": (0.5, always({"authentication": None})),
    },
)

SECTIONS = Table(
    "section",
    {
        "entries": (40, lambda draw: draw.times(lambda _: ABSENT)),  # filled in by `_section`
        "one entry that says nothing": (4, always([{}])),
        "empty": (2, always([])),
        "null": (2, always(None)),
        "a null entry": (0.3, always([None])),
    },
)

SUBJECTS = Table(
    "subject",
    {
        "everything": (30, always({})),
        "labels": (30, lambda draw: {"matchLabels": {draw.one(("app", "k8s:app")): draw.one(("x", "y"))}}),
        "any selector": (25, selector),
    },
)


def _sections(draw: Draw) -> dict[str, Any]:
    names = draw.some(("ingress", "egress", "ingressDeny", "egressDeny"), most=3)
    made = {name: _section(draw, name) for name in names}
    return written(made | {"enableDefaultDeny": draw.shape(DEFAULT_DENY)})


def _section(draw: Draw, name: str) -> Any:
    entries = draw.shape(SECTIONS)
    if entries and ABSENT in entries:
        return [peers(draw, name) | ports(draw, name) | draw.shape(BESIDE) for _ in entries]
    return entries


def _native(draw: Draw) -> dict[str, Any]:
    spec = {"podSelector": pod_selector(draw), "policyTypes": draw.shape(POLICY_TYPES)}
    for section, field in (("ingress", "from"), ("egress", "to")):
        if draw.chance(0.7):
            entries = [
                {field: draw.shape(NATIVE_PEERS), "ports": draw.shape(NATIVE_PORTS)} for _ in draw.times(id, least=0)
            ]
            spec[section] = [written(entry) for entry in entries]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": draw.one(tuple(NAMESPACES))},
        "spec": written(spec),
    }


SUBJECT_FORMS = Table(
    "subject of a spec",
    {
        "pods": (100, lambda draw: {"endpointSelector": draw.shape(SUBJECTS)} | _sections(draw)),
        "nodes": (5, lambda draw: {"nodeSelector": draw.shape(SUBJECTS)} | _sections(draw)),
        "both": (1, lambda draw: {"endpointSelector": {}, "nodeSelector": {}} | _sections(draw)),
        "neither": (1, _sections),
        "null": (1, lambda draw: {"endpointSelector": None} | _sections(draw)),
    },
    broken=frozenset({"both", "neither", "null", "nodes"}),
)

SPECS = Table(
    "spec and specs",
    {
        "spec": (50, lambda draw: {"spec": draw.shape(SUBJECT_FORMS)}),
        "specs": (10, lambda draw: {"specs": draw.times(lambda again: again.shape(SUBJECT_FORMS), least=2)}),
        "both": (5, lambda draw: {"spec": draw.shape(SUBJECT_FORMS), "specs": [draw.shape(SUBJECT_FORMS)]}),
        "empty specs": (1, lambda draw: {"spec": draw.shape(SUBJECT_FORMS), "specs": draw.one(([], None))}),
        "neither": (0.5, always({})),
    },
    broken=frozenset({"neither"}),
)

KINDS = Table(
    "kind",
    {
        NAMESPACED: (60, lambda draw: cilium(draw, NAMESPACED, draw.shape(SPECS))),
        CLUSTERWIDE: (25, lambda draw: cilium(draw, CLUSTERWIDE, draw.shape(SPECS))),
        "host policy": (
            4,
            lambda draw: cilium(draw, CLUSTERWIDE, {"spec": {"nodeSelector": draw.shape(SUBJECTS)} | _sections(draw)}),
        ),
        "NetworkPolicy": (18, _native),
    },
)

POLICY_TYPES = Table(
    "policyTypes",
    {
        "absent": (10, always(ABSENT)),
        "both": (10, always(["Ingress", "Egress"])),
        "one": (10, lambda draw: [draw.one(("Ingress", "Egress"))]),
        "empty": (2, lambda draw: draw.one(([], None))),
    },
)

NATIVE_PEERS = Table(
    "peers of a NetworkPolicy",
    {
        "absent": (6, always(ABSENT)),
        "empty": (4, lambda draw: draw.one(([], None))),
        "pods": (15, lambda draw: [{"podSelector": pod_selector(draw)}]),
        "namespaces": (12, lambda draw: [{"namespaceSelector": pod_selector(draw)}]),
        "pods of namespaces": (
            12,
            lambda draw: [{"podSelector": pod_selector(draw), "namespaceSelector": pod_selector(draw)}],
        ),
        "every namespace": (4, always([{"namespaceSelector": {}}])),
        "range": (6, lambda draw: [{"ipBlock": {"cidr": draw.one(RANGES)}}]),
        "range with except": (6, lambda draw: [{"ipBlock": {"cidr": "10.0.0.0/8", "except": draw.some(RANGES[2:4])}}]),
        "range and pods": (4, lambda draw: [{"ipBlock": {"cidr": "10.0.0.0/24"}}, {"podSelector": pod_selector(draw)}]),
        "item of nothing": (2, always([{}])),
    },
)

NATIVE_PORTS = Table(
    "ports of a NetworkPolicy",
    {
        "absent": (10, always(ABSENT)),
        "empty": (3, lambda draw: draw.one(([], None))),
        "number": (20, lambda draw: [{"port": draw.one((53, 80, 443)), "protocol": draw.one(("TCP", "UDP", "SCTP"))}]),
        "without protocol": (5, lambda draw: [{"port": draw.one((53, 80))}]),
        "protocol alone": (4, lambda draw: [{"protocol": draw.one(("TCP", "UDP"))}]),
        "item of nothing": (2, always([{}])),
        "range": (6, always([{"port": 80, "endPort": 443, "protocol": "TCP"}])),
        "named": (6, lambda draw: [{"port": draw.one(PORT_NAMES), "protocol": draw.one(("TCP", "UDP"))}]),
        "two": (5, always([{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}])),
    },
)

TABLES = (
    DEFAULT_DENY, BESIDE, SECTIONS, SUBJECTS, SPECS, SUBJECT_FORMS, KINDS, POLICY_TYPES, NATIVE_PEERS, NATIVE_PORTS,
)  # fmt: skip


def policy(draw: Draw, name: str) -> dict[str, Any]:
    """One object of one of the three kinds."""
    body: dict[str, Any] = draw.shape(KINDS)
    body["metadata"] = {"name": name} | body["metadata"]
    return body


def cilium(draw: Draw, kind: str, specs: dict[str, Any], *, namespace: str = "") -> dict[str, Any]:
    """An object of one of Cilium's kinds, in any namespace unless one is given."""
    place = {} if kind == CLUSTERWIDE else {"namespace": namespace or draw.one(("a", "a", *NAMESPACES))}
    return {"apiVersion": "cilium.io/v2", "kind": kind, "metadata": place} | specs
