"""Shapes that open more than they say.

Source: Cilium 1.20, pkg/policy/utils/parserules.go (which empty lists leave no L3 term), pkg/policy/l4.go
(createL4Filter: the L7 wildcard), pkg/policy/api/l4.go (L7Rules.IsEmpty); each seen in the engine.
"""

import re
from collections.abc import Iterator
from typing import Any

from isolation.linting.findings import Hit
from isolation.linting.objects import NATIVE, Entry, Policy, PortRule
from isolation.linting.plain import mapped

_EMPTY_IS_EVERYONE = {"FQDNs": "TN101", "Groups": "TN102", "Services": "TN113"}
_PING = re.compile(r"(?<![a-z])(ping|icmp)(?![a-z])", re.IGNORECASE)
_DENYING_NAMES = ("deny-all", "default-deny")


def shapes(policy: Policy) -> Iterator[Hit]:
    """Every fail-open shape of one object."""
    yield from _open_direction(policy)
    yield from _open_to_the_node(policy)
    if policy.kind == NATIVE:
        yield from _native_types(policy)
    for entry in policy.entries:
        if not entry.is_deny:
            yield from _lost_peers(entry)
            yield from _no_peer(entry)
            yield from _lost_ports(entry)
            yield from _lost_default_deny(entry)
            yield from _no_ping(entry)
        for rule in entry.port_rules:
            yield from _lost_l7(rule)


def _lost_peers(entry: Entry) -> Iterator[Hit]:
    """Lists that vanish and leave the ports open to everyone."""
    if not entry.has_ports or any(entry.peers.values()):
        return
    for kind, value in entry.peers.items():
        name = entry.side + kind
        if kind in _EMPTY_IS_EVERYONE and not value:
            shown = "null" if value is None else "[]"
            yield Hit(_EMPTY_IS_EVERYONE[kind], entry.policy, entry.place(kind), f"`{name}: {shown}` selects everyone")
        elif value is None:
            yield Hit("TN103", entry.policy, entry.place(kind), f"`{name}: null` selects everyone")


def _no_peer(entry: Entry) -> Iterator[Hit]:
    if entry.has_ports and entry.peers.get("Services"):
        yield Hit(
            "TN104", entry.policy, entry.place("Services"), "the ports open to everyone while no Service is found"
        )
    if entry.names_nobody and entry.port_rules and not entry.spec.body.get("nodeSelector"):
        rule, who = ("TN105", "every destination") if entry.is_egress else ("TN106", "every source")
        yield Hit(rule, entry.policy, entry.path, f"names ports and no peer: {who} is meant")


def _lost_ports(entry: Entry) -> Iterator[Hit]:
    if "toPorts" in entry.body and not entry.body["toPorts"] and any(entry.peers.values()):
        yield Hit("TN107", entry.policy, (*entry.path, "toPorts"), "an empty `toPorts` opens every port of these peers")


def _lost_l7(rule: PortRule) -> Iterator[Hit]:
    written = rule.body.get("rules")
    empty: list[tuple[tuple[str, ...], Any]] = [(("serverNames",), rule.body.get("serverNames", ...))]
    empty += [(("rules", kind), value) for kind, value in mapped(written).items() if kind in {"dns", "http"}]
    if "rules" in rule.body and not written:
        empty.append((("rules",), written))
    for path, value in empty:
        if value is None or value in ([], {}):
            yield Hit("TN108", rule.entry.policy, (*rule.path, *path), f"an empty `{path[-1]}` restricts nothing")


def _lost_default_deny(entry: Entry) -> Iterator[Hit]:
    if entry.spec.wants_default_deny(entry.direction):
        return
    for rule in entry.port_rules:
        if rule.has_l7:
            detail = f"enableDefaultDeny.{entry.direction} is false, so everything else passes these rules too"
            yield Hit("TN109", entry.policy, (*rule.path, "rules"), detail)


def _open_direction(policy: Policy) -> Iterator[Hit]:
    """A name that promises to close both directions, and an object that touches one."""
    name = policy.document.name.lower()
    if not any(word in name for word in _DENYING_NAMES) or "ingress" in name or "egress" in name:
        return
    for missing in {"ingress", "egress"} - _touched(policy):
        yield Hit("TN110", policy, ("metadata", "name"), f"{policy.document.name} leaves {missing} as it was: open")


def _open_to_the_node(policy: Policy) -> Iterator[Hit]:
    """A name that promises to close ingress. Only a deny keeps the node out."""
    name = policy.document.name.lower()
    if not any(word in name for word in _DENYING_NAMES) or "ingress" not in _touched(policy):
        return
    denied = {entity for entry in policy.entries if entry.section == "ingressDeny" for _, entity in entry.entities}
    if policy.specs and not denied & {"host", "all", "cluster"} and "nodeSelector" not in policy.specs[0].body:
        yield Hit("TN114", policy, ("metadata", "name"), "the node, and pods on its network, still reach these pods")


def _no_ping(entry: Entry) -> Iterator[Hit]:
    """Every port, or ports of an object that speaks of ping, and no ICMP."""
    policy = entry.policy
    if any(each.body.get("icmps") for each in policy.entries):
        return
    words = f"{policy.document.name} {entry.spec.body.get('description', '')}"
    if entry.port_rules and _PING.search(words):
        yield Hit("TN621", policy, (*entry.path, "toPorts"), "these ports are no ping, of which the object speaks")
        return
    for rule in entry.port_rules:
        for port in rule.ports:
            if port.number == 0 and port.protocol == "ANY":
                yield Hit("TN621", policy, port.path, "every port of TCP, UDP and SCTP, and no ping")


def _touched(policy: Policy) -> set[str]:
    if policy.kind != NATIVE:
        return {entry.direction for entry in policy.entries if entry.spec.wants_default_deny(entry.direction)}
    spec = policy.specs[0].body if policy.specs else {}
    types = spec.get("policyTypes")
    if isinstance(types, list) and types:
        return {str(item).lower() for item in types}
    return {"ingress", "egress"} if spec.get("egress") else {"ingress"}


def _native_types(policy: Policy) -> Iterator[Hit]:
    for spec in policy.specs:
        for section in ("ingress", "egress"):
            if section in spec.body and section not in _touched(policy):
                detail = f"`{section}` is written and policyTypes does not name it: the section does nothing"
                yield Hit("TN111", policy, (*spec.path, section), detail)
