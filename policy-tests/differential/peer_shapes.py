"""The L3 part of a rule: every kind of peer, in its good, empty, null, mixed and broken forms."""

from collections.abc import Callable
from typing import Any

from differential.draw import Draw, Table, always
from differential.selector_shapes import selector

ENTITY_NAMES = (
    "all",
    "world",
    "world-ipv4",
    "world-ipv6",
    "cluster",
    "cluster-mesh",
    "host",
    "remote-node",
    "kube-apiserver",
    "health",
    "init",
    "ingress",
    "unmanaged",
    "none",
)
RANGES = (
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.0.0.0/24",
    "10.0.0.1/32",
    "10.0.1.7/24",  # host bits are set
    "169.254.169.254/32",
    "192.168.0.0/16",
    "::/0",
    "2001:db8::/32",
    "2001:db8::1/128",
)
NAMES = ("a.example.com", "b.example.com", "x.a.example.com", "s3.test", "A.Example.com", "a.example.com.")
PATTERNS = (
    "*",
    "**",
    "*.",
    "*.example.com",
    "**.example.com",
    "a*.example.com",
    "*a.example.com",
    "**a.example.com",
    "a.**.com",
    "*.*",
    "*.Example.com.",
    "s3.test",
)
GROUPS = ("lan", "edge")

CIDR_SETS = Table(
    "item of a range set",
    {
        "range": (20, lambda draw: {"cidr": draw.one(RANGES)}),
        "except inside": (12, lambda draw: {"cidr": "10.0.0.0/8", "except": draw.some(RANGES[2:4])}),
        "except inside, v6": (4, always({"cidr": "2001:db8::/32", "except": ["2001:db8::1/128"]})),
        "except of everything": (4, lambda draw: {"cidr": "0.0.0.0/0", "except": draw.some(RANGES[:7])}),
        "except empty": (2, lambda draw: {"cidr": draw.one(RANGES), "except": draw.one(([], None))}),
        "except outside": (1, always({"cidr": "10.0.0.0/24", "except": ["192.168.0.0/16"]})),
        "except wider": (1, always({"cidr": "10.0.0.0/24", "except": ["10.0.0.0/8"]})),
        "except of another family": (1, always({"cidr": "0.0.0.0/0", "except": ["::/0"]})),
        "except bare": (1, always({"cidr": "10.0.0.0/24", "except": ["10.0.0.1"]})),
        "group": (8, lambda draw: {"cidrGroupRef": draw.one((*GROUPS, "missing"))}),
        "group with except": (3, lambda draw: {"cidrGroupRef": draw.one(GROUPS), "except": draw.some(RANGES[2:4])}),
        "groups by label": (5, lambda draw: {"cidrGroupSelector": {"matchLabels": {"zone": draw.one(("in", "out"))}}}),
        "groups by any label": (0.5, always({"cidrGroupSelector": {}})),
        "two forms": (1, always({"cidr": "10.0.0.0/8", "cidrGroupRef": "lan"})),
        "no form": (1, always({})),
        "bare address": (1, always({"cidr": "10.0.0.1"})),
    },
    broken=frozenset(
        {
            "except outside",
            "except wider",
            "except of another family",
            "except bare",
            "two forms",
            "no form",
            "bare address",
        }
    ),
)

FQDNS = Table(
    "name",
    {
        "name": (40, lambda draw: {"matchName": draw.one(NAMES)}),
        "pattern": (40, lambda draw: {"matchPattern": draw.one(PATTERNS)}),
        "nothing": (2, always({})),
        "empty name": (1, always({"matchName": ""})),
        "both": (1, always({"matchName": "a.example.com", "matchPattern": "*.example.com"})),
        "broken name": (1, lambda draw: {"matchName": draw.one(("a b", "*.example.com", "a,b"))}),
        "broken pattern": (1, lambda draw: {"matchPattern": draw.one(("a b", "[a-z].com", "a,b"))}),
        "null name": (1, always({"matchName": None, "matchPattern": "*.example.com"})),
    },
    broken=frozenset({"both", "broken name", "broken pattern"}),
)

_Kind = Callable[[Draw], Any]
ITEMS: dict[str, _Kind] = {
    "Endpoints": selector,
    "Entities": lambda draw: draw.one(ENTITY_NAMES),
    "CIDR": lambda draw: draw.one(RANGES),
    "CIDRSet": lambda draw: draw.shape(CIDR_SETS),
    "FQDNs": lambda draw: draw.shape(FQDNS),
}
_KINDS = ("Endpoints", "Entities", "CIDR", "CIDRSet", "Nodes", "Groups")


def _items(kind: str) -> _Kind:
    return lambda draw: {kind: draw.times(ITEMS[kind])}


def _mixed(draw: Draw) -> dict[str, Any]:
    first, second = draw.some(tuple(ITEMS), least=2)
    return {kind: draw.times(ITEMS[kind], most=1) for kind in (first, second)}


def _beside_an_empty_list(draw: Draw) -> dict[str, Any]:
    kind, empty = draw.some((*_KINDS, "FQDNs"), least=2)
    return {kind: draw.times(ITEMS[kind], most=1) if kind in ITEMS else [], empty: draw.one(([], None))}


_EITHER: dict[str, tuple[float, _Kind]] = {
    "none": (30, always({})),
    "endpoints": (90, _items("Endpoints")),
    "entities": (40, _items("Entities")),
    "ranges": (25, _items("CIDR")),
    "range sets": (30, _items("CIDRSet")),
    "empty list": (15, lambda draw: {draw.one(_KINDS): []}),
    "null": (15, lambda draw: {draw.one(_KINDS): None}),
    "null in a list": (1, lambda draw: {draw.one(("Endpoints", "CIDRSet")): [None]}),
    "two kinds": (3, _mixed),
    "a kind beside an empty list": (8, _beside_an_empty_list),
    "unknown entity": (2, lambda draw: {"Entities": [draw.one(("World", "internet", "", "cluster "))]}),
    "bare address": (2, lambda draw: {"CIDR": [draw.one(("10.0.0.1", "2001:db8::1"))]}),
    "broken range": (
        2,
        lambda draw: {"CIDR": [draw.one(("10.0.0.0/33", "10.0.0", "", "010.0.0.0/8"))]},
    ),
    "nodes": (1, lambda draw: {"Nodes": [selector(draw)]}),
    "groups of a cloud": (0.3, always({"Groups": [{"aws": {"securityGroupsIds": ["sg-1"]}}]})),
    "requires": (1, lambda draw: {"Requires": draw.one(([], None, [{"matchLabels": {"app": "x"}}]))}),
}
_EGRESS_ONLY: dict[str, tuple[float, _Kind]] = {
    "services": (5, lambda draw: {"Services": [draw.one(_SERVICES)]}),
    "no services": (3, lambda draw: {"Services": draw.one(([], None))}),
    "names": (45, _items("FQDNs")),
    "no names": (6, lambda draw: {"FQDNs": draw.one(([], None))}),
}
_SERVICES: tuple[dict[str, Any], ...] = (
    {"k8sService": {"serviceName": "web", "namespace": "a"}},
    {"k8sService": {"serviceName": "web"}},
    {"k8sServiceSelector": {"selector": {"matchLabels": {"app": "x"}}}},
    {},
)

_BROKEN = frozenset({"two kinds", "unknown entity", "broken range", "nodes", "null in a list"})

INGRESS_PEERS = Table("ingress peers", _EITHER, _BROKEN)
EGRESS_PEERS = Table("egress peers", _EITHER | _EGRESS_ONLY, _BROKEN)


def peers(draw: Draw, section: str) -> dict[str, Any]:
    """The L3 fields of one entry of the section. Names are a field of `egress` alone: where they are none, the engine's
    validator does not see an empty list of them (nor one of empty items), and the schema does."""
    is_egress = section.startswith("egress")
    made = draw.shape(EGRESS_PEERS if is_egress else INGRESS_PEERS)
    kept = {kind: value for kind, value in made.items() if section == "egress" or kind != "FQDNs" or any(value or ())}
    return {("to" if is_egress else "from") + kind: value for kind, value in kept.items()}
