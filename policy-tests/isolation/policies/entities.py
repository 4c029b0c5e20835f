"""Peers of a rule: label selectors, entities, address ranges, names. Each answers whether it selects an identity.

Source: Cilium 1.20.2, pkg/policy/types/selector.go, pkg/policy/api/entity.go, cidr.go, fqdn.go. Ranges and names never
select pods or nodes.
"""

from dataclasses import dataclass
from typing import Protocol

from isolation.manifests.node import Node
from isolation.policies.addresses import Network
from isolation.policies.identities import CLUSTER_ENTITIES, WORLD_ENTITIES, Identity
from isolation.policies.labels import CLUSTER
from isolation.policies.names import NamePattern
from isolation.policies.selectors import LabelSelector

ENTITIES = frozenset({"all", *WORLD_ENTITIES, "cluster", "cluster-mesh", "none", *CLUSTER_ENTITIES})


class Peer(Protocol):
    """One L3 term of a rule."""

    def selects(self, identity: Identity) -> bool: ...


@dataclass(frozen=True)
class Endpoints:
    """fromEndpoints, toEndpoints. cluster: the local one's name.

    The engine looks twice, for the identity and for the one that stands for its group, which has one reserved label of
    its own: terms that are all negative match the group, and with it everyone in it.
    """

    selector: LabelSelector
    cluster: str = "default"

    def selects(self, identity: Identity) -> bool:
        if self.selector.matches(identity.labels):
            return True
        return bool(self.selector.aggregates) and aggregate_of(identity, self.cluster) in self.selector.aggregates


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
                return is_any(identity, WORLD_ENTITIES)
            case "cluster":
                return is_any(identity, CLUSTER_ENTITIES) or identity.labels.value("k8s", CLUSTER) == self.cluster
            case "cluster-mesh":
                return is_any(identity, CLUSTER_ENTITIES) or identity.labels.value("any", CLUSTER) is not None
            case _:
                return is_any(identity, (self.name,))


@dataclass(frozen=True)
class Cidr:
    """One range with its exceptions; an exception does not select, it does not deny.

    world: the reserved label for which the range of all addresses stands; an identity without an address has only that.
    """

    network: Network
    excepted: tuple[Network, ...] = ()
    world: str = "world"

    def selects(self, identity: Identity) -> bool:
        address = identity.address
        if address is None:
            is_all = self.network.prefixlen == 0 and all(network.prefixlen for network in self.excepted)
            return is_all and is_any(identity, (self.world,))
        if not is_any(identity, WORLD_ENTITIES) or address not in self.network:
            return False
        return not any(address in network for network in self.excepted)


@dataclass(frozen=True)
class Fqdn:
    """toFQDNs: every address for which a matching name was learned."""

    pattern: NamePattern

    def selects(self, identity: Identity) -> bool:
        return any(self.pattern.matches(name) for name in identity.names)


def entity_peer(node: Node, cluster: str) -> Entity:
    return Entity(node.text(), cluster)


def is_everyone(peer: Peer) -> bool:
    """The entity `all`, or a selector of pods without a term."""
    if isinstance(peer, Endpoints):
        return not peer.selector.requirements
    return isinstance(peer, Entity) and peer.name == "all"


def aggregate_of(identity: Identity, cluster: str) -> str | None:
    """The group's label (Source: Cilium 1.20.2, pkg/policy/aggregate.go); None for the reserved identities."""
    home = identity.labels.value("k8s", CLUSTER)
    if home is not None:
        return "aggregate-cluster" if home == cluster else "aggregate-cluster-mesh"
    is_address = not identity.is_plain and (identity.address is not None or bool(identity.names))
    return "aggregate-world" if is_address and is_any(identity, WORLD_ENTITIES) else None


def is_any(identity: Identity, names: tuple[str, ...]) -> bool:
    """Whether the identity carries one of the reserved labels."""
    return any(identity.labels.value("reserved", name) is not None for name in names)
