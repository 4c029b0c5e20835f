"""The L4 and L7 parts of a rule: ports, ranges, named ports, ICMP, DNS, HTTP and server names, and how they clash."""

from typing import Any

from differential.draw import ABSENT, Draw, Table, always, written
from differential.peer_shapes import FQDNS, NAMES, PATTERNS

NUMBERS = ("53", "80", "81", "443", "8080")
PORT_NAMES = ("http", "dns", "dns-tcp", "web")

PROTOCOLS = Table(
    "protocol",
    {
        "TCP": (60, always("TCP")),
        "UDP": (25, always("UDP")),
        "ANY": (12, always("ANY")),
        "absent": (12, always(ABSENT)),
        "SCTP": (6, always("SCTP")),
        "empty": (3, always("")),
        "lower case": (3, lambda draw: draw.one(("tcp", "any", "Udp"))),
        "ICMP": (2, lambda draw: draw.one(("ICMP", "ICMPv6", "ICMPV6"))),
        "extended": (1, lambda draw: draw.one(("VRRP", "IGMP", "GRE", "IPIP", "ESP", "AH"))),
        "unknown": (1, lambda draw: draw.one(("HTTP", "6"))),
        "null": (1, always(None)),
    },
    broken=frozenset({"extended", "unknown"}),
)

PORTS = Table(
    "port",
    {
        "number": (100, lambda draw: _port(draw, draw.one(NUMBERS))),
        "zero": (10, lambda draw: _port(draw, "0")),
        "zero with an end": (2, lambda draw: _port(draw, "0", end=443)),
        "range": (25, lambda draw: _port(draw, *draw.one((("80", 81), ("80", 443), ("1", 65535), ("50", 60))))),
        "range of one": (4, lambda draw: _port(draw, "80", end=80)),
        "range with end 0": (3, lambda draw: _port(draw, "80", end=0)),
        "reversed range": (4, lambda draw: _port(draw, "443", end=80)),
        "null end": (1, lambda draw: _port(draw, "80", end=None)),
        "named": (25, lambda draw: _port(draw, draw.one(PORT_NAMES))),
        "named in capitals": (3, lambda draw: _port(draw, "HTTP")),
        "named with an end": (0.7, lambda draw: _port(draw, "http", end=443)),
        "no port": (1, lambda draw: written({"protocol": draw.shape(PROTOCOLS)})),
        "empty": (1, lambda draw: _port(draw, "")),
        "hexadecimal": (1, lambda draw: _port(draw, "0x50")),
        "leading zero": (1, lambda draw: _port(draw, draw.one(("080", "0120", "0o120")))),
        "too high": (1, lambda draw: _port(draw, draw.one(("65536", "70000")))),
        "end too high": (1, lambda draw: _port(draw, "80", end=70000)),
        "negative": (1, lambda draw: _port(draw, "-1")),
        "a number, not a text": (1, lambda draw: _port(draw, 80)),
        "broken name": (1, lambda draw: _port(draw, draw.one(("a name", "-http", "http--x", "averyveryverylongname")))),
    },
    broken=frozenset(
        {"no port", "empty", "leading zero", "too high", "negative", "a number, not a text", "broken name"}
    ),
)

HTTP = Table(
    "http rule",
    {
        "path": (10, always([{"path": "/public"}])),
        "method and path": (10, lambda draw: [{"method": draw.one(("GET", "POST|PUT")), "path": "/v[0-9]+/.*"}]),
        "host and headers": (6, always([{"host": "a[.]example[.]com", "headers": ["X-Key: 1"]}])),
        "two": (5, always([{"method": "GET"}, {"method": "PUT", "path": "/x"}])),
        "everything": (6, always([{}])),
        "header matches": (3, always([{"headerMatches": [{"name": "X-Key", "value": "1"}]}])),
        "broken expression": (1, lambda draw: [draw.one(({"path": "("}, {"method": "["}, {"host": "*"}))]),
        "null field": (1, always([{"method": None, "path": "/x"}])),
    },
    broken=frozenset({"broken expression"}),
)

DNS = Table(
    "dns rule",
    {
        "names": (20, lambda draw: draw.times(lambda again: again.shape(FQDNS), most=3)),
        "everything": (4, always([{"matchPattern": "*"}])),
        "no name": (3, always([{}])),
    },
)

SERVER_NAMES = Table(
    "server names",
    {
        "names": (20, lambda draw: draw.some(NAMES[:4])),
        "patterns": (6, lambda draw: draw.some(PATTERNS)),
        "empty name": (1, always([""])),
        "broken": (1, lambda draw: [draw.one(("a b", "a,b"))]),
    },
    broken=frozenset({"empty name", "broken"}),
)

# A field without a type is left out: the engine itself panics on it (1.20.2).
ICMP = Table(
    "icmp",
    {
        "number": (20, lambda draw: {"type": draw.one((8, 128, 3))}),
        "number as a text": (4, lambda draw: {"type": draw.one(("8", "128"))}),
        "name": (10, lambda draw: {"type": draw.one(("EchoRequest", "EchoReply", "DestinationUnreachable"))}),
        "name and family": (
            10,
            lambda draw: {"type": "EchoRequest", "family": draw.one(("IPv4", "IPv6"))},
        ),
        "number and family": (10, lambda draw: {"type": draw.one((8, 128)), "family": draw.one(("IPv4", "IPv6"))}),
        "empty family": (2, always({"type": 8, "family": ""})),
        "name of the other family": (1, lambda draw: {"type": draw.one(("NeighborSolicitation", "Redirect"))}),
        "unknown name": (1, always({"type": "Echo"})),
        "unknown family": (1, always({"type": 8, "family": "IPv5"})),
        "too high": (1, always({"type": 300})),
    },
    broken=frozenset({"name of the other family", "unknown name", "unknown family"}),
)

_LISTS: dict[str, tuple[float, Any]] = {
    "absent": (25, always({})),
    "empty": (6, always({"toPorts": []})),
    "null": (4, always({"toPorts": None})),
    "item without ports": (4, lambda draw: {"toPorts": [draw.one(({}, {"ports": []}, {"ports": None}))]}),
    "ports": (90, lambda draw: {"toPorts": draw.times(lambda again: {"ports": again.times(port)})}),
    "forty": (1, lambda draw: {"toPorts": [{"ports": [_port(draw, str(n)) for n in range(80, 120)]}]}),
    "forty-one": (0.5, lambda draw: {"toPorts": [{"ports": [_port(draw, str(n)) for n in range(80, 121)]}]}),
    "icmp": (12, lambda draw: {"icmps": [{"fields": draw.times(lambda again: again.shape(ICMP))}]}),
    "empty icmp": (3, lambda draw: {"icmps": draw.one(([], None, [{}], [{"fields": []}]))}),
    "icmp and ports": (1, always({"icmps": [{"fields": [{"type": 8}]}], "toPorts": [{"ports": [{"port": "80"}]}]})),
    "icmp beside no ports": (1, always({"icmps": [{"fields": [{"type": 8}]}], "toPorts": []})),
}

_ALLOWED: dict[str, tuple[float, Any]] = _LISTS | {
    "http": (15, lambda draw: {"toPorts": draw.times(http_port)}),
    "server names": (15, lambda draw: {"toPorts": draw.times(tls_port)}),
    "empty rules": (6, lambda draw: {"toPorts": [{"ports": [port(draw)], "rules": draw.one(_NO_RULES)}]}),
    "dns and http": (1, lambda draw: {"toPorts": [dns_port(draw) | {"rules": {"dns": [{}], "http": [{}]}}]}),
    "server names and http": (1, lambda draw: {"toPorts": [tls_port(draw) | {"rules": {"http": [{}]}}]}),
    "TLS that ends at the proxy": (8, lambda draw: {"toPorts": draw.times(ended_tls_port)}),
    "http anywhere": (2, lambda draw: {"toPorts": [{"ports": [port(draw)], "rules": {"http": [{}]}}]}),
    "dns anywhere": (2, lambda draw: {"toPorts": [{"ports": [port(draw)], "rules": {"dns": draw.shape(DNS)}}]}),
    "server names anywhere": (2, lambda draw: {"toPorts": [{"ports": [port(draw)], "serverNames": ["s3.test"]}]}),
    "rules without ports": (1, lambda draw: {"toPorts": [{"rules": {"dns": draw.shape(DNS)}}]}),
}
_BROKEN = frozenset(
    {"forty-one", "icmp and ports", "dns and http", "server names and http", "http anywhere", "dns anywhere"}
    | {"server names anywhere", "rules without ports"}
)

INGRESS_PORTS = Table("ports of an ingress allow", _ALLOWED, _BROKEN)
EGRESS_PORTS = Table(
    "ports of an egress allow", _ALLOWED | {"dns": (25, lambda draw: {"toPorts": draw.times(dns_port)})}, _BROKEN
)
DENIED_PORTS = Table(
    "ports of a deny",
    _LISTS | {"rules": (1, always({"toPorts": [{"ports": [{"port": "80"}], "rules": {"http": [{"path": "/"}]}}]}))},
    _BROKEN,
)
_NO_RULES: tuple[Any, ...] = (None, {}, {"dns": []}, {"http": []}, {"http": None}, {"dns": None, "http": []})


def ports(draw: Draw, section: str) -> dict[str, Any]:
    """`toPorts` or `icmps` of one entry of the section."""
    tables = {"ingress": INGRESS_PORTS, "egress": EGRESS_PORTS}
    made: dict[str, Any] = draw.shape(tables.get(section, DENIED_PORTS))
    return made


def port(draw: Draw) -> dict[str, Any]:
    made: dict[str, Any] = draw.shape(PORTS)
    return made


def _port(draw: Draw, number: Any, end: Any = ABSENT) -> dict[str, Any]:
    return written({"port": number, "endPort": end, "protocol": draw.shape(PROTOCOLS)})


def dns_port(draw: Draw) -> dict[str, Any]:
    protocols = draw.some(("UDP", "TCP", "ANY"))
    number = draw.one(("53", "53", "53", "dns"))
    rules = draw.one(({"dns": draw.shape(DNS)}, {"dns": draw.shape(DNS)}, None))
    return written({"ports": [{"port": number, "protocol": each} for each in protocols], "rules": rules or ABSENT})


def http_port(draw: Draw) -> dict[str, Any]:
    number = draw.one(("80", "80", "443", "http"))
    return {"ports": [{"port": number, "protocol": "TCP"}], "rules": {"http": draw.shape(HTTP)}}


def tls_port(draw: Draw) -> dict[str, Any]:
    number = draw.one(("443", "443", "80"))
    return {
        "ports": [{"port": number, "protocol": draw.one(("TCP", "TCP", "ANY"))}],
        "serverNames": draw.shape(SERVER_NAMES),
    }


def ended_tls_port(draw: Draw) -> dict[str, Any]:
    """The proxy sees inside: server names and HTTP rules may stand together."""
    secret = {"secret": {"name": draw.one(("one", "other")), "namespace": "a"}}
    names, rules = draw.shape(SERVER_NAMES), {"http": draw.shape(HTTP)}
    ends = draw.one(({"terminatingTLS": secret}, {"terminatingTLS": secret, "originatingTLS": secret}))
    made = {"ports": [{"port": "443", "protocol": "TCP"}]} | ends
    return made | draw.one(({"serverNames": names}, {"rules": rules}, {"serverNames": names, "rules": rules}, {}))
