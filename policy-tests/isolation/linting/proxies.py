"""Ports, and what a proxy does on them: server names, HTTP rules, DNS rules.

Source: Cilium 1.20, pkg/policy/api/l4.go, http.go, pkg/policy/l4.go; server names and HTTP are decided by Envoy.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_network

from isolation.linting.findings import Hit
from isolation.linting.names import SHARED_HOSTS, patterns
from isolation.linting.objects import Entry, Policy, PortRule

_HTTPS, _DNS = 443, 53
_OUTSIDE = frozenset({"all", "world", "world-ipv4", "world-ipv6"})
_PLAIN_DOT = re.compile(r"(?<!\\)\.(?![*+?{])")


def proxies(policy: Policy) -> Iterator[Hit]:
    """Every port rule of one object."""
    for entry in policy.entries:
        for rule in entry.port_rules:
            yield from _ports(entry, rule)
            if not entry.is_deny:
                yield from _http(rule)
                yield from _dns(rule)
        if entry.opens_egress:
            yield from _tls(entry)


def _ports(entry: Entry, rule: PortRule) -> Iterator[Hit]:
    policy = entry.policy
    for port in rule.ports:
        if port.number is not None and 0 < port.end < port.number:
            yield Hit("TN611", policy, (*port.path, "endPort"), f"{port.text}-{port.end} is read as {port.text} alone")
        if port.number == 0 and not rule.has_l7 and port.protocol in {"ANY", "TCP", "UDP", "SCTP"}:
            yield Hit("TN614", policy, port.path, "port 0 is every port")
        if port.text and port.number is None:
            has_pods = not entry.is_egress or "Endpoints" in entry.peers or entry.names_nobody
            rule_id, detail = (
                ("TN613", "the number is each pod's own to set") if has_pods else ("TN612", "no container")
            )
            yield Hit(rule_id, policy, port.path, f"port `{port.text}`: {detail}")
        if port.text and "protocol" not in port.body:
            yield Hit("TN615", policy, port.path, f"port {port.text} is opened for TCP, UDP and SCTP")


def _http(rule: PortRule) -> Iterator[Hit]:
    policy = rule.entry.policy
    for path, item in rule.l7("http"):
        host, wanted = str(item.get("host") or ""), str(item.get("path") or "")
        if not item:
            yield Hit("TN610", policy, path, "an empty item lets every request pass")
        if _PLAIN_DOT.search(host):
            yield Hit("TN605", policy, (*path, "host"), f"`{host}` also matches {_PLAIN_DOT.sub('x', host, count=1)}")
        if wanted and not re.search(r"[*+?)\]}]\$?$", wanted):
            yield Hit("TN606", policy, (*path, "path"), f"`{wanted}` does not match {wanted.rstrip('$')}?page=2")
    if rule.l7("http") and rule.covers(_HTTPS) and not rule.body.get("terminatingTLS"):
        yield Hit(
            "TN619", policy, (*rule.path, "rules", "http"), "port 443 carries TLS, in which no request can be read"
        )


def _dns(rule: PortRule) -> Iterator[Hit]:
    if rule.l7("dns") and not (rule.covers(_DNS, "TCP") and rule.covers(_DNS, "UDP")) and rule.ports:
        given, missing = ("UDP", "TCP") if rule.covers(_DNS, "UDP") else ("TCP", "UDP")
        if rule.covers(_DNS, given):
            yield Hit(
                "TN618", rule.entry.policy, (*rule.path, "ports"), f"filters {given}; {missing} is another filter"
            )


def _tls(entry: Entry) -> Iterator[Hit]:
    """HTTPS to addresses that many hosts share."""
    policy = entry.policy
    if entry.has_ports and not entry.covers(_HTTPS):
        return
    if entry.has_ports and all(rule.server_names for rule in entry.port_rules if rule.covers(_HTTPS)):
        return
    if entry.has_ports and _leads_outside(entry):
        yield Hit("TN601", policy, entry.path, "opens 443 to the outside whatever the server's name is")
    for path, pattern in patterns(entry):
        if SHARED_HOSTS.fullmatch(pattern.text):
            yield Hit("TN602", policy, path, f"{pattern.text} shares its addresses with other hosts")
        else:
            yield Hit("TN603", policy, path, f"whatever else is served at the addresses of {pattern.text} is open too")


def _leads_outside(entry: Entry) -> bool:
    if "nodeSelector" in entry.spec.body:
        return False
    if entry.names_nobody or any(name in _OUTSIDE for _, name in entry.entities):
        return True
    return any(_is_everywhere(text) for _, text in entry.ranges)


def _is_everywhere(text: str) -> bool:
    try:
        return ip_network(text, strict=False).prefixlen == 0
    except ValueError:
        return False
