"""Generated worlds: small enough to be read when they differ, and together every shape of the catalogue.

The vocabulary is tiny on purpose (two labels, three namespaces, five ports), so that rules meet.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from differential import meetings, object_shapes, parties, peer_shapes, port_shapes, selector_shapes
from differential.draw import Draw

Line = dict[str, Any]
Ports = tuple[tuple[int, str], ...]

TABLES = (
    selector_shapes.KEYS,
    selector_shapes.OPERATORS,
    selector_shapes.SELECTORS,
    peer_shapes.CIDR_SETS,
    peer_shapes.FQDNS,
    peer_shapes.INGRESS_PEERS,
    peer_shapes.EGRESS_PEERS,
    port_shapes.PROTOCOLS,
    port_shapes.PORTS,
    port_shapes.HTTP,
    port_shapes.DNS,
    port_shapes.SERVER_NAMES,
    port_shapes.ICMP,
    port_shapes.INGRESS_PORTS,
    port_shapes.EGRESS_PORTS,
    port_shapes.DENIED_PORTS,
    *object_shapes.TABLES,
    *meetings.TABLES,
    *parties.TABLES,
)
CATALOGUE = frozenset(name for table in TABLES for name in table.catalogue())

# Shares of worlds with shapes that lose their object; of flows to the port where rules meet, and to a common port;
# of flows to another port that ask a name.
_BREAKING, _BUSY, _USUALLY, _ASKED = 0.3, 0.7, 0.8, 0.05
_DNS_PORT = 53
_USUAL = ((80, "TCP"), (443, "TCP"), (53, "UDP"), (53, "TCP"), (8080, "TCP"), (80, "UDP"), (81, "TCP"))
_RARE = (
    (9999, "TCP"),
    (80, "SCTP"),
    (8, "ICMP"),
    (128, "ICMPv6"),
    (3, "ICMP"),
    (55, "UDP"),
    (65535, "TCP"),
    (1, "UDP"),
)


@dataclass(frozen=True)
class Generated:
    """A world line, its flow lines, and the shapes that are in it."""

    world: Line
    flows: tuple[Line, ...]
    drawn: Counter[str]

    @property
    def lines(self) -> list[Line]:
        return [self.world, *self.flows]


def generate(seed: int, *, flows: int = 60) -> Generated:
    """The world of a seed: the same on every machine."""
    random = Random(seed)
    draw = Draw(random, breaks=random.random() < _BREAKING)
    peers = parties.parties(draw)
    meeting = draw.shape(meetings.MEETINGS)
    policies = [object_shapes.policy(draw, f"{draw.one('pq')}{n}") for n in range(random.randint(not meeting, 3))]
    if meeting:
        policies += [meeting.policy(draw, f"{draw.one('mnpq')}{n + 5}") for n in range(random.randint(1, 3))]
    policies = json.loads(json.dumps(policies))  # no part stands in two places, so that one can be changed alone
    _spell_dns_ports_one_way(policies)
    world = {"type": "world", "id": f"{seed}", **parties.surroundings(draw), "policies": policies, "peers": peers}
    if "cidrGroup" in str(policies):
        world["cidr_groups"] = parties.CIDR_GROUPS
    busy = meeting.ports if meeting else ()
    return Generated(world, tuple(_flow(draw, world, busy, f"{seed}/{n}") for n in range(flows)), draw.drawn)


def worlds(seed: int, *, flows: int) -> Iterator[Generated]:
    """Worlds of one run until it has asked this many flows; run n's seeds are disjoint from run n+1's."""
    asked = 0
    while asked < flows:
        made = generate(seed * 1_000_000 + asked)
        asked += len(made.flows)
        yield made


def _spell_dns_ports_one_way(policies: list[Line]) -> None:
    """Of dns rules on a named port and on the number that it stands for, the engine's DNS proxy keeps the one that it
    visits last (1.20.2), so that the answer is no property of the policies; named ones lose their rules then."""
    filtered = [item for item in _port_rules(policies) if (item.get("rules") or {}).get("dns")]
    named = [item for item in filtered if any(str(port.get("port", "0"))[:1].isalpha() for port in item["ports"])]
    if len(named) < len(filtered):
        for item in named:
            del item["rules"]


def _port_rules(value: Any) -> Iterator[Line]:
    """Every item of every `toPorts` with ports."""
    if isinstance(value, dict) and value.get("ports") and "port" not in value:
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from _port_rules(each)


def _flow(draw: Draw, world: Line, busy: Ports, name: str) -> Line:
    parties_named = list(world["peers"])
    source, destination = draw.one(parties_named), draw.one(parties_named)
    ports = busy if busy and draw.chance(_BUSY) else _USUAL if draw.chance(_USUALLY) else _RARE
    number, protocol = draw.one(ports)
    line = {"id": name, "from": source, "to": destination, "port": number, "protocol": protocol}
    if protocol in {"TCP", "UDP"} and (number == _DNS_PORT or draw.chance(_ASKED)):
        line["query"] = parties.asked_name(draw)
    return line
