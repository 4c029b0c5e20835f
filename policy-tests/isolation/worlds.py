"""Policy worlds and flows as JSON Lines, the format that Cilium's own engine is asked in too.

The format is described beside the recorded cases (policy-tests/cases/README.md). What the evaluator does not
understand is refused line by line, as `{"id": .., "refused": why}`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from isolation.identities import Identity, entity, outside, pod
from isolation.labels import PodLabels
from isolation.policies import EGRESS, INGRESS, parse_policy
from isolation.ports import Port
from isolation.refusals import Refused
from isolation.tree import Document
from isolation.verdicts import PolicyWorld, SideVerdict

# Settings that the evaluator knows at one value only.
_FIXED = {
    "enforcement": "default",
    "l7_proxy": True,
    "icmp_rules": True,
    "non_default_deny": True,
    "extended_ip_protocols": False,
    "node_selector_labels": False,
}
_FREE = frozenset({"cluster", "any_cluster", "ipv4", "ipv6", "allow_localhost", "host_firewall"})
_DIRECTIONS = frozenset({"both", EGRESS, INGRESS})


@dataclass(eq=False)
class World:
    """One line of type `world`, ready to be asked."""

    source: Mapping[str, Any]
    policies: PolicyWorld
    accepted: tuple[bool, ...]
    _identities: dict[str, Identity] = field(default_factory=dict)

    def answer(self, flow: Mapping[str, Any]) -> dict[str, Any]:
        """Verdict of one flow line. Raises Refused."""
        source, destination = self._identity(flow["from"]), self._identity(flow["to"])
        port = Port(int(flow["port"]), str(flow.get("protocol", "TCP")))
        direction = flow.get("direction", "both")
        if direction not in _DIRECTIONS:
            raise _refused(f"direction {direction!r} is none of both, egress, ingress")
        verdict = self.policies.flow(source, destination, port)
        sides = {EGRESS: verdict.egress, INGRESS: verdict.ingress}
        asked = {name: side for name, side in sides.items() if direction in {"both", name}}
        answer: dict[str, Any] = {name: _described(side) for name, side in asked.items()}
        answer["verdict"] = "allow" if all(side.is_allowed for side in asked.values()) else "deny"
        if "query" in flow:
            names = self.policies.side(source, EGRESS).name_filter(destination, port)
            answer["dns"] = str(names.query(flow["query"]))
        return {"id": flow.get("id"), **answer}

    def _identity(self, peer: str | Mapping[str, Any]) -> Identity:
        if not isinstance(peer, str):
            return _peer("peer", peer, self.source)
        if peer not in self._identities:
            peers = self.source.get("peers", {})
            if peer not in peers:
                raise _refused(f"peer {peer!r} is not in the world")
            self._identities[peer] = _peer(peer, peers[peer], self.source)
        return self._identities[peer]


def answers(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """One answer per line, in order; a world that is refused refuses its flows."""
    world: World | Refused = _refused("no world stands before this flow")
    for line in lines:
        document = json.loads(line)
        is_world = document.get("type") == "world"
        try:
            if is_world or "policies" in document:
                world = made = read_world(document)
                if is_world:
                    yield {"type": "world", "id": document.get("id"), "accepted": list(made.accepted)}
                    continue
            if isinstance(world, Refused):
                raise world
            yield world.answer(document)
        except Refused as refused:
            if is_world:
                world = refused
            yield {"id": document.get("id"), "refused": str(refused)}


def read_world(source: Mapping[str, Any]) -> World:
    """A world line. Raises Refused."""
    config = source.get("config", {})
    for key, value in config.items():
        if key not in _FREE and (key not in _FIXED or _FIXED[key] != value):
            raise _refused(f"config {key}={value!r} is not understood")
    if source.get("cidr_groups"):
        raise _refused("cidr_groups are not understood")
    cluster = None if config.get("any_cluster") else str(config.get("cluster", "default"))
    parsed = [parse_policy(_document(body, index), cluster=cluster) for index, body in enumerate(source["policies"])]
    kept = {(p.document.kind, p.document.namespace, p.document.name): p for p in parsed}
    rules = [rule for one in kept.values() for rule in one.rules]
    policies = PolicyWorld(rules, admits_node=config.get("allow_localhost", "always") == "always")
    return World(source, policies, tuple(not one.rejected for one in parsed))


def _document(body: dict[str, Any], index: int) -> Document:
    return Document(f"policies[{index}]", body, {})


def _peer(name: str, peer: Mapping[str, Any], world: Mapping[str, Any]) -> Identity:
    config = world.get("config", {})
    if "entity" in peer:
        return entity(peer["entity"])
    if "namespace" in peer:
        if peer.get("named_ports"):
            raise _refused("named ports are not understood")
        labels = PodLabels(
            namespace=peer["namespace"],
            account=peer.get("service_account", "default"),
            cluster=peer.get("cluster", config.get("cluster", "default")),
            namespace_labels=world.get("namespaces", {}).get(peer["namespace"], {}),
            chosen=peer.get("labels", {}),
        )
        return pod(name, labels.identity())
    if "ip" not in peer and "names" not in peer:
        raise _refused(f"peer {name}: neither pod, entity, address nor name")
    learned = [*peer.get("names", ()), *world.get("dns", {}).get(peer.get("ip"), ())]
    return outside(
        name,
        address=ip_address(peer["ip"]) if "ip" in peer else None,
        names=frozenset(learned),
        is_api_server=bool(peer.get("kube_apiserver")),
        dual_stack=bool(config.get("ipv4", True) and config.get("ipv6", False)),
    )


def _described(side: SideVerdict) -> dict[str, Any]:
    matched = sorted({_reference(rule.origin.document) for rule in side.by})
    made: dict[str, Any] = {"verdict": "allow" if side.is_allowed else "deny", "enforced": side.is_enforced}
    return made | ({"matched": matched} if matched else {}) | ({"l7": list(side.l7)} if side.l7 else {})


def _reference(document: Document) -> str:
    return "/".join(part for part in (document.kind, document.namespace, document.name) if part)


def _refused(why: str) -> Refused:
    return Refused(where="world", at="", why=why)
