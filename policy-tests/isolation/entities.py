"""Peers of a rule: label selectors, entities, address ranges, names. Each answers whether it selects an identity.

Source: Cilium 1.20, pkg/policy/api/entity.go, cidr.go, fqdn.go. Ranges and names never select pods or nodes.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Protocol

from isolation.identities import Identity
from isolation.labels import CLUSTER
from isolation.names import NamePattern
from isolation.node import Node
from isolation.selectors import LabelSelector

Network = IPv4Network | IPv6Network

_WORLD = ("world", "world-ipv4", "world-ipv6")
_CLUSTER = ("host", "remote-node", "init", "ingress", "health", "unmanaged", "kube-apiserver")
ENTITIES = frozenset({"all", "world", "world-ipv4", "world-ipv6", "cluster", "none", *_CLUSTER})


class Peer(Protocol):
    """One L3 term of a rule."""

    def selects(self, identity: Identity) -> bool: ...


@dataclass(frozen=True)
class Endpoints:
    """fromEndpoints, toEndpoints."""

    selector: LabelSelector

    def selects(self, identity: Identity) -> bool:
        return self.selector.matches(identity.labels)


@dataclass(frozen=True)
class Entity:
    """fromEntities, toEntities. `cluster` holds every other tenant."""

    name: str
    cluster: str

    def selects(self, identity: Identity) -> bool:
        match self.name:
            case "all":
                return True
            case "none":
                return False
            case "world":
                return _is_any(identity, _WORLD)
            case "cluster":
                return _is_any(identity, _CLUSTER) or identity.labels.value("k8s", CLUSTER) == self.cluster
            case _:
                return _is_any(identity, (self.name,))


@dataclass(frozen=True)
class Cidr:
    """One range with its exceptions; an exception does not select, it does not deny."""

    network: Network
    excepted: tuple[Network, ...] = ()

    def selects(self, identity: Identity) -> bool:
        address = identity.address
        if address is None or address not in self.network:
            return False
        return not any(address in network for network in self.excepted)


@dataclass(frozen=True)
class Fqdn:
    """toFQDNs: every address for which a matching name was learned."""

    pattern: NamePattern

    def selects(self, identity: Identity) -> bool:
        return any(self.pattern.matches(name) for name in identity.names)


def entity_peer(node: Node, cluster: str) -> Entity:
    return Entity(node.text().lower(), cluster)


def cidr_peer(node: Node) -> Cidr:
    """An item of toCIDR; a bare address is one address."""
    return Cidr(ip_network(node.text(), strict=False))


def cidr_set_peer(node: Node) -> Cidr:
    """An item of toCIDRSet. Groups of addresses are refused: they live outside of the tree."""
    fields = node.fields("cidr", "except")
    if "cidr" not in fields:
        raise node.refused("an item without `cidr` is not understood; name the range")
    excepted = fields["except"].items() if "except" in fields else []
    ranges = tuple(ip_network(item.text(), strict=False) for item in excepted)
    return Cidr(ip_network(fields["cidr"].text(), strict=False), ranges)


def _is_any(identity: Identity, names: tuple[str, ...]) -> bool:
    return any(identity.labels.value("reserved", name) is not None for name in names)
