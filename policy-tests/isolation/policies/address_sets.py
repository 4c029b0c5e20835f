"""Items of toCIDR and toCIDRSet: ranges, and groups of ranges by name or by label.

Source: Cilium 1.20.2, pkg/policy/types/selector.go (CIDRSelector), pkg/policy/k8s/cilium_cidr_group.go. A selector of
groups is asked of the labels of all groups that hold the address together, and of addresses outside only: a negative
or empty one selects every address that is in no group as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from isolation.manifests.node import Node
from isolation.policies.addresses import Network, address_or_network_of, network_of
from isolation.policies.agent import Agent, CidrGroup
from isolation.policies.entities import Cidr, Peer, is_any
from isolation.policies.identities import WORLD_ENTITIES, Identity
from isolation.policies.selectors import LabelSelector, Requirement, prefixed_selector


@dataclass(frozen=True)
class GroupOfRanges:
    """cidrGroupRef: the ranges of one group; none when no such group is there."""

    name: str
    networks: tuple[Network, ...] = field(compare=False)
    excepted: tuple[Network, ...]

    def selects(self, identity: Identity) -> bool:
        if not is_any(identity, WORLD_ENTITIES):
            return False
        return _holds(self.networks, identity) and not _holds(self.excepted, identity)


@dataclass(frozen=True)
class GroupsByLabel:
    """cidrGroupSelector."""

    selector: LabelSelector
    groups: tuple[CidrGroup, ...] = field(compare=False)
    excepted: tuple[Network, ...]

    def selects(self, identity: Identity) -> bool:
        if not is_any(identity, WORLD_ENTITIES) or _holds(self.excepted, identity):
            return False
        there = [group.labels for group in self.groups if _holds(group.networks, identity)]
        return all(term.holds_for(_values(term, there)) for term in self.selector.requirements)


def cidr_peer(node: Node, agent: Agent) -> Cidr:
    """An item of toCIDR that the agent accepts; a bare address is one address."""
    network = _address_or_network(node)
    return Cidr(network, (), agent.world(network.version))


def cidr_set_peer(node: Node, agent: Agent) -> Peer:
    """An item of toCIDRSet that the agent accepts. Raises Refused for an exception of a group that is no range."""
    excepted = tuple(_network(item) for item in node.each("except"))
    if name := node.value.get("cidrGroupRef"):
        group = agent.groups.get(name)
        return GroupOfRanges(name, group.networks if group else (), excepted)
    if node.has("cidrGroupSelector"):
        selector = prefixed_selector(node.at("cidrGroupSelector"), "cidrgroup")
        if not selector.requirements:
            why = "an empty cidrGroupSelector, which the engine mistakes for the selector of everyone; name a label"
            raise node.refused(why)
        return GroupsByLabel(selector, tuple(agent.groups.values()), excepted)
    network = _network(node.at("cidr"))
    return Cidr(network, excepted, agent.world(network.version))


def ip_block_peer(node: Node, agent: Agent) -> Cidr:
    """ipBlock of a NetworkPolicy that the agent reads; a bare address is one address."""
    network, *excepted = map(_address_or_network, (node.at("cidr"), *node.each("except")))
    return Cidr(network, tuple(excepted), agent.world(network.version))


def _address_or_network(node: Node) -> Network:
    network = address_or_network_of(node.text())
    if network is None:
        raise node.refused(f"{node.value!r} is no range of addresses")
    return network


def _network(node: Node) -> Network:
    network = network_of(node.text())
    if network is None:
        raise node.refused(f"{node.value!r} is no range of addresses")
    return network


def _values(term: Requirement, there: list[Mapping[str, str]]) -> list[str]:
    if term.source not in {"cidrgroup", "any"}:
        return []
    return [labels[term.key] for labels in there if term.key in labels]


def _holds(networks: tuple[Network, ...], identity: Identity) -> bool:
    return identity.address is not None and any(identity.address in network for network in networks)
