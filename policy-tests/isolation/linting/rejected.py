"""Objects that Cilium refuses. A refused object enforces nothing, all of it: one bad rule opens everything.

Source: Cilium 1.20.2, pkg/policy/api/rule_validation.go and the schema of the CRDs. What has no rule of its own here
comes from the evaluator's own port of both (`remaining`).
"""

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from isolation.linting.findings import Hit
from isolation.linting.objects import (
    CILIUM_KINDS,
    CLUSTERWIDE,
    LAST_PORT,
    SECTIONS,
    Entry,
    Policy,
    PortRule,
    Spec,
    WrittenPort,
)
from isolation.linting.plain import listed, mapped
from isolation.manifests.reading import DocumentPath
from isolation.policies.entities import ENTITIES
from isolation.policies.expressions import ExpressionError, compiled

_MOST_PORTS = 40
_ENTITIES = ENTITIES | {"cluster-mesh"}
WITHOUT_PORTS = frozenset({"VRRP", "IGMP", "GRE", "IPIP", "IPV6", "ESP", "AH"})
_NAME = re.compile(r"[-a-zA-Z0-9_]+([.][-a-zA-Z0-9_]+)*[.]?")
_PATTERN = re.compile(r"[-a-zA-Z0-9_*]+([.][-a-zA-Z0-9_*]+)*[.]?")


def rejected(policy: Policy) -> Iterator[Hit]:
    """Every reason to refuse one object."""
    if policy.kind not in CILIUM_KINDS:
        return
    if not policy.specs:
        yield Hit("TN222", policy, (), "holds neither `spec` nor `specs`")
        return
    for spec in policy.specs:
        yield from _spec(spec)
    for entry in policy.entries:
        yield from _entry(entry)


def _spec(spec: Spec) -> Iterator[Hit]:
    policy, body = spec.policy, spec.body
    if not any(body.get(section) for section in SECTIONS):
        written = [section for section in SECTIONS if section in body]
        path = (*spec.path, written[0]) if written else spec.path
        shown = f"`{written[0]}: []`" if written else "a policy without sections"
        yield Hit("TN201", policy, path, f"{shown} denies nothing: Cilium refuses the object")
    has_node, has_pod = body.get("nodeSelector") is not None, body.get("endpointSelector") is not None
    if has_node and policy.kind != CLUSTERWIDE:
        yield Hit("TN214", policy, (*spec.path, "nodeSelector"), "nodes are no pods of a namespace")
    elif has_node == has_pod:
        many = "both endpointSelector and nodeSelector" if has_node else "neither endpointSelector nor nodeSelector"
        yield Hit("TN215", policy, spec.path, f"has {many}")


def _entry(entry: Entry) -> Iterator[Hit]:
    policy = entry.policy
    written = [entry.side + kind for kind, value in entry.peers.items() if value]
    if len(written) > 1:
        yield Hit("TN202", policy, entry.path, f"{' and '.join(written)} in one entry")
    if entry.body.get("icmps") and entry.body.get("toPorts"):
        yield Hit("TN210", policy, (*entry.path, "icmps"), "icmps and toPorts in one entry")
    if entry.peers.get("Nodes"):
        yield Hit("TN220", policy, entry.place("Nodes"), f"{entry.side}Nodes needs enable-node-selector-labels")
    yield from _panics(entry)
    for path, name in entry.entities:
        if name not in _ENTITIES:
            yield Hit("TN216", policy, path, f"{name!r} is no entity")
    yield from _ranges(entry)
    for path, item in entry.items("FQDNs"):
        yield from _name(policy, path, mapped(item))
    for rule in entry.port_rules:
        yield from _port_rule(rule)


def _panics(entry: Entry) -> Iterator[Hit]:
    """Shapes that 1.20.2's code stumbles over; the schema refuses both."""
    for index, item in enumerate(listed(entry.body.get("icmps"))):
        for number, field in enumerate(listed(mapped(item).get("fields"))):
            if mapped(field).get("type") is None:
                path = (*entry.path, "icmps", index, "fields", number)
                yield Hit("TN231", entry.policy, path, "an ICMP field without a type")
    for path, text in entry.ranges:
        if "%" in text:
            yield Hit("TN231", entry.policy, path, f"{text!r} has a zone")


def _ranges(entry: Entry) -> Iterator[Hit]:
    for path, text in entry.ranges:
        if "%" in text:
            continue
        if _is_address(text):
            rule = "TN204" if path[-1] == "cidr" else "TN205"
            yield Hit(rule, entry.policy, path, f"{text!r} has no prefix length")
        elif not _is_network(text):
            yield Hit("TN206", entry.policy, path, f"{text!r} is no range of addresses")
    for path, item in entry.items("CIDRSet"):
        outer = str(mapped(item).get("cidr", ""))
        for index, inner in enumerate(listed(mapped(item).get("except"))):
            if _is_network(outer) and not _is_inside(str(inner), outer):
                yield Hit("TN203", entry.policy, (*path, "except", index), f"{inner!r} is not inside {outer}")


def _name(policy: Policy, path: DocumentPath, item: object) -> Iterator[Hit]:
    """An item of toFQDNs or dns."""
    entry = mapped(item)
    name, pattern = entry.get("matchName"), entry.get("matchPattern")
    if name and pattern:
        yield Hit("TN218", policy, path, "matchName and matchPattern in one item")
    elif not name and not pattern and path[-2] == "toFQDNs":
        yield Hit("TN219", policy, path, "the item names nothing")
    elif name and not _NAME.fullmatch(str(name)):
        yield Hit("TN229", policy, (*path, "matchName"), f"{name!r} is no DNS name")
    elif pattern and not _PATTERN.fullmatch(str(pattern)):
        yield Hit("TN229", policy, (*path, "matchPattern"), f"{pattern!r} is no DNS name with stars")


def _port_rule(rule: PortRule) -> Iterator[Hit]:
    policy = rule.entry.policy
    if len(rule.ports) > _MOST_PORTS:
        yield Hit("TN212", policy, (*rule.path, "ports"), f"{len(rule.ports)} ports are more than {_MOST_PORTS}")
    for port in rule.ports:
        yield from _port(rule, port)
    if not rule.entry.is_deny:
        yield from _l7(rule)
        for path, item in rule.l7("dns"):
            yield from _name(policy, path, item)
        for path, item in rule.l7("http"):
            yield from _expressions(policy, path, item)


def _l7(rule: PortRule) -> Iterator[Hit]:
    policy, entry = rule.entry.policy, rule.entry
    kinds = [kind for kind in ("dns", "http") if rule.l7(kind)]
    if len(kinds) > 1:
        yield Hit("TN217", policy, (*rule.path, "rules"), "dns and http rules on one port")
    if rule.server_names and kinds and not rule.body.get("terminatingTLS"):
        yield Hit("TN213", policy, (*rule.path, "serverNames"), f"serverNames and {kinds[0]} rules on one port")
    yield from (Hit("TN226", policy, path, "the server name is empty") for path, text in rule.server_names if not text)
    if rule.l7("dns") and not entry.is_egress:
        yield Hit("TN207", policy, (*rule.path, "rules", "dns"), "dns rules on ingress")
    if rule.l7("http") and "nodeSelector" in entry.spec.body:
        yield Hit("TN224", policy, (*rule.path, "rules", "http"), "http rules for nodes")


def _expressions(policy: Policy, path: DocumentPath, item: Mapping[str, Any]) -> Iterator[Hit]:
    for field in ("path", "method", "host"):
        try:
            compiled(str(item.get(field) or ""))
        except ExpressionError as error:
            yield Hit("TN228", policy, (*path, field), f"{item[field]!r} is no expression: {error}")


def _port(rule: PortRule, port: WrittenPort) -> Iterator[Hit]:
    policy = rule.entry.policy
    if port.protocol in WITHOUT_PORTS and not port.text:
        yield Hit("TN225", policy, port.path, f"{port.protocol} needs enable-extended-ip-protocols")
    elif not port.text:
        yield Hit("TN211", policy, port.path, "no port is written")
    elif port.number is not None and port.number > LAST_PORT:
        yield Hit("TN211", policy, (*port.path, "port"), f"{port.text} is above {LAST_PORT}")
    if port.number == 0 and rule.has_l7:
        yield Hit("TN208", policy, (*port.path, "port"), "L7 rules on port 0")
    if rule.l7("dns") and port.end > (port.number or 0):
        yield Hit("TN209", policy, (*port.path, "endPort"), "dns rules on a range of ports")
    if rule.l7("http") and port.protocol != "TCP":
        yield Hit("TN208", policy, port.path, f"http rules on {port.protocol}; they need TCP")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def _is_inside(inner: str, outer: str) -> bool:
    if not _is_network(inner):
        return False
    small, large = ip_network(inner, strict=False), ip_network(outer, strict=False)
    if small.version != large.version:
        return False
    return small.network_address in large and small.prefixlen >= large.prefixlen
