"""What the agent rejects. A rejected object enforces nothing, all of it, so that one bad rule opens everything.

Source: Cilium 1.20.2, pkg/policy/api/rule_validation.go, each shape reproduced in the engine.
"""

from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from isolation.entities import ENTITIES
from isolation.ports import LAST_PORT

_SECTIONS = ("ingress", "ingressDeny", "egress", "egressDeny")
_L3 = ("Endpoints", "Entities", "CIDR", "CIDRSet", "FQDNs", "Nodes", "Services", "Groups")
_MOST_PORTS = 40


def rejections(body: Mapping[str, Any]) -> list[str]:
    """Why the agent would reject a CiliumNetworkPolicy or CiliumClusterwideNetworkPolicy; empty when it accepts it."""
    specs = [spec for spec in (body.get("spec"), *(body.get("specs") or ())) if isinstance(spec, Mapping)]
    if not specs:
        return ["neither spec nor specs"]
    is_clusterwide = body.get("kind") == "CiliumClusterwideNetworkPolicy"
    return [fault for spec in specs for fault in _spec_faults(spec, is_clusterwide=is_clusterwide)]


def _spec_faults(spec: Mapping[str, Any], *, is_clusterwide: bool) -> Iterator[str]:
    if "nodeSelector" in spec and not is_clusterwide:
        yield "nodeSelector in a namespaced policy"
    elif "endpointSelector" not in spec and "nodeSelector" not in spec:
        yield "no endpointSelector"
    if not any(spec.get(section) for section in _SECTIONS):
        yield "no section has an entry"
    for section in _SECTIONS:
        for index, rule in enumerate(spec.get(section) or ()):
            for fault in _rule_faults(rule or {}, section):
                yield f"{section}[{index}]: {fault}"


def _rule_faults(rule: Mapping[str, Any], section: str) -> Iterator[str]:
    side = "to" if section.startswith("egress") else "from"
    kinds = [side + kind for kind in _L3 if rule.get(side + kind)]
    if len(kinds) > 1:
        yield f"{' and '.join(kinds)} in one rule"
    if rule.get(f"{side}Nodes"):
        yield f"{side}Nodes needs an option that is off"
    for name in rule.get(f"{side}Entities") or ():
        if str(name).lower() not in ENTITIES:
            yield f"unknown entity {name!r}"
    yield from _cidr_faults(rule, side)
    for fqdn in rule.get("toFQDNs") or ():
        if "matchName" in fqdn and "matchPattern" in fqdn:
            yield "matchName and matchPattern in one selector"
    if rule.get("icmps") and rule.get("toPorts"):
        yield "icmps and toPorts in one rule"
    for entry in rule.get("toPorts") or ():
        yield from _port_faults(entry or {}, section)


def _cidr_faults(rule: Mapping[str, Any], side: str) -> Iterator[str]:
    for text in rule.get(f"{side}CIDR") or ():
        if not _is_network(text):
            yield f"{text!r} is no range"
    for item in rule.get(f"{side}CIDRSet") or ():
        cidr = item.get("cidr")
        if cidr is None:
            continue
        if "/" not in str(cidr) or not _is_network(cidr):
            yield f"{cidr!r} has no prefix length"
            continue
        for text in item.get("except") or ():
            if not _is_network(text) or not _is_inside(text, cidr):
                yield f"except {text!r} is not inside {cidr}"


def _port_faults(entry: Mapping[str, Any], section: str) -> Iterator[str]:
    ports = entry.get("ports") or ()
    if len(ports) > _MOST_PORTS:
        yield f"{len(ports)} ports are more than {_MOST_PORTS}"
    for port in ports:
        text = str(port.get("port", "0"))
        if text.isdecimal() and int(text) > LAST_PORT:
            yield f"port {text} is above {LAST_PORT}"
    rules = {kind: value for kind, value in (entry.get("rules") or {}).items() if value}
    if len(rules) > 1:
        yield f"{' and '.join(sorted(rules))} rules on one port"
    if entry.get("serverNames") and rules and not entry.get("terminatingTLS"):
        yield "serverNames and L7 rules on one port"
    if rules:
        yield from _l7_faults(rules, ports, section)


def _l7_faults(rules: Mapping[str, Any], ports: Any, section: str) -> Iterator[str]:
    if "dns" in rules and not section.startswith("egress"):
        yield "dns rules on ingress"
    for port in ports:
        protocol = str(port.get("protocol", "ANY")).upper()
        if str(port.get("port", "0")) == "0":
            yield "L7 rules on port 0"
        if "dns" in rules and port.get("endPort", 0):
            yield "dns rules on a range of ports"
        if "http" in rules and protocol != "TCP":
            yield f"http rules on {protocol}"


def _is_network(text: Any) -> bool:
    try:
        ip_network(str(text), strict=False)
    except ValueError:
        return False
    return True


def _is_inside(inner: str, outer: str) -> bool:
    small, large = ip_network(inner, strict=False), ip_network(outer, strict=False)
    if small.version != large.version:
        return False
    return small.network_address in large and small.prefixlen >= large.prefixlen
