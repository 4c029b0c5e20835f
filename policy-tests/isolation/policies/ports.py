"""Ports and protocols of rules and flows. For ICMP the number is the type."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from isolation.manifests.node import Node

NamedPorts = Mapping[tuple[str, str], int]  # (name, protocol) -> number
NONE_NAMED: NamedPorts = MappingProxyType({})

LAST_PORT = 65535
PROTOCOLS = ("TCP", "UDP", "SCTP")  # what `ANY` stands for; never ICMP
EXTENDED = ("VRRP", "IGMP", "GRE", "IPIP", "IPV6", "ESP", "AH")  # protocols without ports, behind an option
_NAME = re.compile(r"([a-zA-Z0-9]-?)*[a-zA-Z](-?[a-zA-Z0-9])*")
_LONGEST_NAME = 15
_NUMBER = re.compile(r"[0-9]+(_[0-9]+)*")
_PREFIXED = re.compile(r"0[xX](_?[0-9a-fA-F])+|0[oO](_?[0-7])+|0[bB](_?[01])+")
_MOST_DIGITS = 64


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
    gives (`named`: name and protocol -> number); first and last are 0 then. end_port: as written; the engine keeps
    53 and 53-53 apart."""

    first: int
    last: int
    protocol: str
    name: str = ""
    end_port: int = 0

    def covers(self, port: Port, named: NamedPorts = NONE_NAMED) -> bool:
        if self.name:
            return named.get((self.name, port.protocol)) == port.number and self._is_of(port.protocol)
        if not self.first <= port.number <= self.last:
            return False
        return self._is_of(port.protocol)

    def _is_of(self, protocol: str) -> bool:
        return protocol == self.protocol or (self.protocol == "ANY" and protocol in PROTOCOLS)

    def __str__(self) -> str:
        if self.name:
            return f"{self.name}/{self.protocol}"
        span = "*" if (self.first, self.last) == (0, LAST_PORT) else str(self.first)
        return f"{span if self.first == self.last or span == '*' else f'{self.first}-{self.last}'}/{self.protocol}"


def is_port_name(text: str) -> bool:
    """Letters, digits and single dashes inside, at least one letter, at most 15 characters.

    Source: RFC 6335, section 5.1; Cilium 1.20, pkg/iana. Hence `0x50` is a name and no number.
    """
    return len(text) <= _LONGEST_NAME and bool(_NAME.fullmatch(text))


def number_of(text: str) -> int | None:
    """The number that Go's ParseUint with base 0 makes of the text, of any size; None when it is none. `010` is 8."""
    if len(text) > _MOST_DIGITS:
        return None
    if _PREFIXED.fullmatch(text):
        return int(text.replace("_", ""), 0)
    if not _NUMBER.fullmatch(text):
        return None
    digits = text.replace("_", "")
    if not digits.startswith("0"):
        return int(digits)
    return int(digits, 8) if not set(digits) & set("89") else None


def named_port(node: Node, name: str, protocol: str) -> PortRange:
    """A port by its name; on egress an endPort beside it means nothing. On ingress it is Refused: the engine makes a
    range from the pod's number to it, for other rules with that name too."""
    if node.value.get("endPort") and any(str(step).startswith("ingress") for step in node.path):
        raise node.refused(f"an endPort beside the named port {name!r}, whose range each pod decides; write numbers")
    return PortRange(0, 0, protocol, name=name)


def port_range(node: Node) -> PortRange:
    """An item of `ports` that the agent accepts.

    Port 0, or none where an option allows that, is every port; an endPort below the port is no range (seen in the
    engine). The engine keeps 16 bits of the endPort. Raises Refused for a name with an endPort on ingress.
    """
    text = node.value.get("port", "")
    protocol = node.value.get("protocol", "").upper() or "ANY"
    if is_port_name(text):
        return named_port(node, text.lower(), protocol)
    first = number_of(text) or 0
    end = node.value.get("endPort", 0) & LAST_PORT
    return PortRange(first, max(first, end) if first else LAST_PORT, protocol, end_port=end)
