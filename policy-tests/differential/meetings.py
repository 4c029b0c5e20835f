"""Objects whose rules meet: one subject, few peers, one port, so that merging and precedence decide the verdict."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from differential.draw import ABSENT, Draw, Table, always, written
from differential.object_shapes import CLUSTERWIDE, DEFAULT_DENY, NAMESPACED, cilium
from differential.peer_shapes import NAMES, PATTERNS
from differential.port_shapes import DNS, HTTP, SERVER_NAMES
from differential.selector_shapes import NAMESPACE

Entry = dict[str, Any]

_RESOLVER = {"k8s:" + NAMESPACE: "kube-system", "k8s:k8s-app": "kube-dns"}
_TO_RESOLVERS: tuple[Entry, ...] = (
    {"toEndpoints": [{"matchLabels": _RESOLVER}]},
    {"toEndpoints": [{"matchLabels": _RESOLVER}]},
    {"toEndpoints": [{"matchLabels": {"k8s:" + NAMESPACE: "kube-system"}}]},
    {"toEndpoints": [{"matchExpressions": [{"key": "k8s:" + NAMESPACE, "operator": "Exists"}]}]},
    {"toEndpoints": [{}]},
    {"toEntities": ["cluster"]},
    {"toEntities": ["all"]},
    {"toCIDR": ["0.0.0.0/0"]},
    {},
)
_RESOLVER_PORTS = Table(
    "port of a resolver",
    {
        "filtered": (30, lambda draw: _port(draw, "53", rules={"dns": draw.shape(DNS)})),
        "filtered, named": (5, lambda draw: _port(draw, "dns", rules={"dns": draw.shape(DNS)})),
        "unfiltered": (8, lambda draw: _port(draw, "53")),
        "empty filter": (3, lambda draw: _port(draw, "53", rules={"dns": []})),
        "range": (5, lambda draw: _port(draw, "50", end=60)),
        "every port": (5, lambda draw: _port(draw, "0")),
        "no ports": (4, always(ABSENT)),
    },
)
_TO_HOSTS: tuple[Callable[[Draw], Entry], ...] = (
    lambda draw: {"toFQDNs": [{"matchName": draw.one(NAMES[:4])}]},
    lambda draw: {"toFQDNs": [{"matchPattern": draw.one(PATTERNS)}]},
    lambda draw: {"toCIDR": [draw.one(("0.0.0.0/0", "10.0.0.0/8", "8.8.8.8/32"))]},
    always({"toEntities": ["world"]}),
    always({"toEntities": ["all"]}),
    always({}),
)
_PROXIED_PORTS = Table(
    "port that a proxy may watch",
    {
        "server names": (20, lambda draw: _tcp("443") | {"serverNames": draw.shape(SERVER_NAMES)}),
        "http": (15, lambda draw: _tcp("443") | {"rules": {"http": draw.shape(HTTP)}}),
        "plain": (8, always({"ports": [{"port": "443", "protocol": "TCP"}]})),
        "of any protocol": (4, always({"ports": [{"port": "443"}]})),
        "range": (5, always({"ports": [{"port": "400", "endPort": 500, "protocol": "TCP"}]})),
        "server names on a range": (3, lambda draw: _tcp("400", 500) | {"serverNames": draw.shape(SERVER_NAMES)}),
        "http on a range": (3, lambda draw: _tcp("400", 500) | {"rules": {"http": draw.shape(HTTP)}}),
        "every port": (3, always({"ports": [{"port": "0", "protocol": "ANY"}]})),
        "no ports": (3, always(ABSENT)),
    },
)
_PODS: tuple[Entry, ...] = (
    {},
    {"matchLabels": {"app": "x"}},
    {"matchLabels": {"k8s:" + NAMESPACE: "a"}},
    {"matchLabels": {"k8s:app": "y"}},
)
_SPANS = ((80, 81), (80, 443), (1, 65535), (53, 80), (80, 80))
_OVERLAPPING = Table(
    "ports that overlap",
    {
        "one": (20, lambda draw: _port(draw, "80")),
        "range": (20, lambda draw: _span(draw, *draw.one(_SPANS))),
        "every port": (6, lambda draw: _port(draw, "0")),
        "named": (6, lambda draw: _port(draw, draw.one(("http", "web")))),
        "http": (6, lambda draw: _tcp("80") | {"rules": {"http": draw.shape(HTTP)}}),
        "no ports": (8, always(ABSENT)),
    },
)


@dataclass(frozen=True)
class Meeting:
    """One kind of object, and the ports at which its rules meet."""

    entries: Callable[[Draw], Entry]
    ports: tuple[tuple[int, str], ...]

    def policy(self, draw: Draw, name: str) -> Entry:
        spec = {"endpointSelector": draw.one(({}, {}, {"matchLabels": {"app": "x"}}))} | self.entries(draw)
        spec |= {"enableDefaultDeny": draw.shape(DEFAULT_DENY)}
        kind = draw.one((NAMESPACED, NAMESPACED, NAMESPACED, CLUSTERWIDE))
        body = cilium(draw, kind, {"spec": written(spec)}, namespace="a")
        return body | {"metadata": {"name": name} | body["metadata"]}


def _resolver_entries(draw: Draw) -> Entry:
    made = draw.times(lambda again: _entry(again.one(_TO_RESOLVERS), again.shape(_RESOLVER_PORTS)), most=3)
    if draw.chance(0.1):
        return {"egress": made, "egressDeny": [_entry(draw.one(_TO_RESOLVERS), _port(draw, draw.one(("53", "0"))))]}
    return {"egress": made}


def _host_entries(draw: Draw) -> Entry:
    made = draw.times(lambda again: _entry(again.one(_TO_HOSTS)(again), again.shape(_PROXIED_PORTS)), most=3)
    return {"egress": made} | ({"egressDeny": [{"toCIDR": ["8.8.8.8/32"]}]} if draw.chance(0.1) else {})


def _overlaps(draw: Draw) -> Entry:
    made: Entry = {}
    for section in draw.some(("ingress", "ingressDeny", "egress", "egressDeny"), most=3):
        field = "fromEndpoints" if section.startswith("ingress") else "toEndpoints"
        peers: Entry = {} if draw.chance(0.2) else {field: draw.some(_PODS)}
        ports = draw.shape(_OVERLAPPING)
        if ports is not ABSENT and section.endswith("Deny"):
            ports = {"ports": ports["ports"]}
        made[section] = [_entry(peers, ports)]
    return made


def _entry(peers: Entry, ports: Any) -> Entry:
    return peers | ({} if ports is ABSENT else {"toPorts": [ports]})


def _port(draw: Draw, number: str, end: Any = ABSENT, rules: Any = ABSENT) -> Entry:
    port = {"port": number, "endPort": end, "protocol": draw.one(("UDP", "TCP", "ANY", ABSENT))}
    return written({"ports": [written(port)], "rules": rules})


def _span(draw: Draw, first: int, last: int) -> Entry:
    return _port(draw, str(first), last)


def _tcp(number: str, end: Any = ABSENT) -> Entry:
    return {"ports": [written({"port": number, "endPort": end, "protocol": "TCP"})]}


MEETINGS = Table(
    "meeting",
    {
        "none": (30, always(None)),
        "dns": (25, always(Meeting(_resolver_entries, ((53, "UDP"), (53, "TCP"))))),
        "proxies": (20, always(Meeting(_host_entries, ((443, "TCP"),)))),
        "overlaps": (25, always(Meeting(_overlaps, ((80, "TCP"), (81, "TCP"), (443, "TCP"))))),
    },
)
TABLES = (_RESOLVER_PORTS, _PROXIED_PORTS, _OVERLAPPING, MEETINGS)
