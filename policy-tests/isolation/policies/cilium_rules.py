"""The rules of a CiliumNetworkPolicy or CiliumClusterwideNetworkPolicy that the agent accepts.

Source: Cilium 1.20.2, pkg/policy/utils/parserules.go, pkg/policy/rule.go (mergeL4Filter).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from isolation.manifests.node import Node
from isolation.policies.address_sets import cidr_peer, cidr_set_peer
from isolation.policies.agent import Agent
from isolation.policies.entities import Endpoints, Fqdn, Peer, entity_peer, is_everyone
from isolation.policies.http import http_rule
from isolation.policies.icmp import icmp_type
from isolation.policies.names import name_patterns, server_names
from isolation.policies.ports import LAST_PORT, PortRange, port_range
from isolation.policies.rules import EGRESS, INGRESS, Origin, Rule
from isolation.policies.selectors import (
    LabelSelector,
    Scope,
    names_starting,
    node_peer_selector,
    node_selector,
    peer_selector,
    subject_selector,
)

_SECTIONS = (("ingress", INGRESS), ("ingressDeny", INGRESS), ("egress", EGRESS), ("egressDeny", EGRESS))
# Of these an empty list selects no one, wherever it stands; of the others it is as if it were not there.
_SHUT_WHEN_EMPTY = ("Endpoints", "Nodes", "Entities", "CIDR", "CIDRSet")


def cilium_rules(spec: Node, scope: Scope, agent: Agent) -> Iterator[Rule]:
    """The entries of one decoded `spec`. Raises Refused for what depends on more than policies."""
    on_nodes = spec.has("nodeSelector")
    subject = (
        node_selector(spec.at("nodeSelector")) if on_nodes else subject_selector(spec.at("endpointSelector"), scope)
    )
    inner = Scope(scope.namespace, scope.cluster, starts=not on_nodes and names_starting(subject))
    asked = spec.at("enableDefaultDeny")
    for section, direction in _SECTIONS:
        default_deny = asked.at(direction).value is not False or not agent.non_default_deny
        frame = _Frame(subject, direction, section.endswith("Deny"), default_deny, on_nodes, inner, agent)
        for entry in spec.each(section):
            yield from frame.rules(entry)


@dataclass(frozen=True)
class _Frame:
    """What all rules of one section share."""

    subject: LabelSelector
    direction: str
    is_deny: bool
    default_deny: bool
    on_nodes: bool
    scope: Scope
    agent: Agent

    def rules(self, entry: Node) -> Iterator[Rule]:
        """The entry's rules, each with the entry's mode of authentication."""
        mode = entry.at("authentication").value
        for rule in self._rules(entry):
            yield replace(rule, contexts=(mode.get("mode", ""), *rule.contexts[1:])) if mode else rule

    def _rules(self, entry: Node) -> Iterator[Rule]:
        """One rule per item of toPorts and icmps; without these one rule for every port.

        An entry that has neither peers nor ports, such as `{}`, selects no one and still enforces.
        """
        peers = self._peers(entry)
        ports, types = entry.each("toPorts"), entry.each("icmps")
        if not ports and not types:
            yield self._rule(entry, () if peers is None else _settled(peers), None)
        peers = _settled(peers)
        for item in ports:
            yield self._port_rule(item, peers)
        for item in types:
            yield self._rule(item, peers, tuple(map(_icmp_range, item.each("fields"))))

    def _peers(self, entry: Node) -> tuple[Peer, ...] | None:
        """None when no peer is left, which means everyone. Services are none: what they select is in no policy, and
        nothing resolves them here (so does the engine when it is alone)."""
        side = "to" if self.direction == EGRESS else "from"
        if any(entry.has(side + kind) and not entry.each(side + kind) for kind in _SHUT_WHEN_EMPTY):
            return ()
        if groups := entry.each(f"{side}Groups"):
            raise groups[0].refused("groups of a cloud are not understood; name ranges or names")
        readers: tuple[tuple[str, Callable[[Node], Peer]], ...] = (
            ("Endpoints", lambda item: Endpoints(peer_selector(item, self.scope), self.agent.cluster)),
            ("Nodes", lambda item: Endpoints(node_peer_selector(item, self.scope), self.agent.cluster)),
            ("Entities", lambda item: entity_peer(item, self.agent.cluster)),
            ("CIDR", lambda item: cidr_peer(item, self.agent)),
            ("CIDRSet", lambda item: cidr_set_peer(item, self.agent)),
        )
        found = [read(item) for kind, read in readers for item in entry.each(side + kind)]
        if entry.each("toFQDNs"):
            found += map(Fqdn, name_patterns(entry.at("toFQDNs")))
        return tuple(found) or None

    def _port_rule(self, item: Node, peers: tuple[Peer, ...] | None) -> Rule:
        if item.has("listener"):
            why = "a listener hands the traffic to a proxy of one's own, which is not understood; leave it out"
            raise item.at("listener").refused(why)
        ports = tuple(map(port_range, item.each("ports")))
        rules = item.at("rules")
        made = self._rule(item, peers, ports)
        if self.is_deny:
            return made
        return replace(
            made,
            dns=name_patterns(rules.at("dns")) if rules.each("dns") else None,
            http=tuple(map(http_rule, rules.each("http"))) or None,
            server_names=server_names(item.at("serverNames")) if item.each("serverNames") else None,
            terminates_tls=item.has("terminatingTLS"),
            originates_tls=item.has("originatingTLS"),
            contexts=("", _secret(item.at("terminatingTLS")), _secret(item.at("originatingTLS"))),
        )

    def _rule(self, node: Node, peers: tuple[Peer, ...] | None, ports: tuple[PortRange, ...] | None) -> Rule:
        return Rule(
            self.subject,
            self.direction,
            peers,
            ports,
            Origin(node.document, node.path),
            is_deny=self.is_deny,
            default_deny=self.default_deny,
            on_nodes=self.on_nodes,
        )


def _settled(peers: tuple[Peer, ...] | None) -> tuple[Peer, ...] | None:
    """None where one peer is everyone: the engine keeps that one alone."""
    return None if peers is None or any(is_everyone(peer) for peer in peers) else peers


def _secret(context: Node) -> str:
    """namespace/name; empty without a context."""
    secret = context.at("secret").value or {}
    return f"{secret.get('namespace', '')}/{secret.get('name', '')}" if context.value is not None else ""


def _icmp_range(node: Node) -> PortRange:
    """An item of icmps[].fields. Type 0 is port 0 to the engine, hence every type."""
    family = node.value.get("family", "")
    number = icmp_type(node.value["type"], family) or 0
    protocol = "ICMPv6" if family == "IPv6" else "ICMP"
    return PortRange(number, number or LAST_PORT, protocol)
