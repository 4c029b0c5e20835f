"""Ports and protocols of rules and flows. For ICMP the number is the type."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from isolation.node import Node

NamedPorts = Mapping[tuple[str, str], int]  # (name, protocol) -> number
NONE_NAMED: NamedPorts = MappingProxyType({})

LAST_PORT = 65535
PROTOCOLS = ("TCP", "UDP", "SCTP")  # what `ANY` stands for; never ICMP
_ICMP_TYPES = {  # Source: Cilium 1.20, pkg/policy/api/icmp.go; the names that rules of ours could use
    ("IPv4", "EchoReply"): 0,
    ("IPv4", "EchoRequest"): 8,
    ("IPv6", "EchoRequest"): 128,
    ("IPv6", "EchoReply"): 129,
}


@dataclass(frozen=True, order=True)
class Port:
    """Where a flow goes."""

    number: int
    protocol: str

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}"


@dataclass(frozen=True)
class PortRange:
    """What a rule covers, both ends included. name: a named port, whose number the endpoint at the end of the flow
    gives (`named`: name and protocol -> number); first and last are 0 then."""

    first: int
    last: int
    protocol: str
    name: str = ""

    def covers(self, port: Port, named: NamedPorts = NONE_NAMED) -> bool:
        if self.name:
            return named.get((self.name, port.protocol)) == port.number and self._is_of(port.protocol)
        if not self.first <= port.number <= self.last:
            return False
        return self._is_of(port.protocol)

    def _is_of(self, protocol: str) -> bool:
        return protocol == self.protocol or (self.protocol == "ANY" and protocol in PROTOCOLS)

    def is_exactly(self, port: Port) -> bool:
        """One port and no more: only such rules share a DNS filter."""
        return self.first == self.last and self.covers(port)

    def __str__(self) -> str:
        if self.name:
            return f"{self.name}/{self.protocol}"
        span = "*" if (self.first, self.last) == (0, LAST_PORT) else str(self.first)
        return f"{span if self.first == self.last or span == '*' else f'{self.first}-{self.last}'}/{self.protocol}"


def port_range(node: Node) -> PortRange:
    """An item of `ports`. Port 0 is every port; an endPort below the port is no range (seen in the engine)."""
    fields = node.fields("port", "endPort", "protocol")
    text = fields["port"].text() if "port" in fields else "0"
    if not text.isdecimal():
        raise fields["port"].refused(f"{text!r} is a named port, which is not understood; write its number")
    protocol = fields["protocol"].text().upper() if "protocol" in fields else "ANY"
    protocol = protocol or "ANY"
    if protocol not in {"ANY", *PROTOCOLS}:
        raise fields["protocol"].refused(f"{protocol} is not understood; known: ANY, {', '.join(PROTOCOLS)}")
    first = int(text)
    if first == 0:
        return PortRange(0, LAST_PORT, protocol)
    last = fields["endPort"].value if "endPort" in fields else first
    return PortRange(first, max(first, int(last)), protocol)


def icmp_range(node: Node) -> PortRange:
    """An item of icmps[].fields."""
    fields = node.fields("type", "family")
    family = fields["family"].text() if "family" in fields else "IPv4"
    kind = fields["type"].value
    number = kind if isinstance(kind, int) else _ICMP_TYPES.get((family, kind))
    if number is None and isinstance(kind, str) and kind.isdecimal():
        number = int(kind)
    if number is None:
        raise fields["type"].refused(f"{kind!r} is not understood; write the number")
    return PortRange(number, number, "ICMPv6" if family == "IPv6" else "ICMP")
