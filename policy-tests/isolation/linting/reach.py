"""Destinations that a rule reaches without saying so: metadata services, resolvers, wrong DNS servers, wrong ports."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import Any

from isolation.linting.findings import Hit
from isolation.linting.meetings import Placed, Rules, is_entity
from isolation.linting.objects import NAMESPACED, Policy
from isolation.linting.plain import listed, mapped
from isolation.policies.entities import Cidr, Endpoints, Fqdn
from isolation.policies.labels import ACCOUNT, CLUSTER, NAMESPACE, NAMESPACE_LABELS
from isolation.policies.parsing import INGRESS
from isolation.policies.ports import Port
from isolation.policies.selectors import LabelSelector, Requirement

_METADATA = IPv4Address("169.254.169.254")  # of AWS, Azure, Google Cloud and others
_HTTP, _DNS, _DNS_OVER_TLS, _HTTPS = (
    Port(80, "TCP"),
    frozenset({Port(53, "UDP"), Port(53, "TCP")}),
    853,
    Port(443, "TCP"),
)
_RESOLVER_ADDRESSES = frozenset(
    ip_address(text)
    for text in (
        "1.1.1.1",
        "1.0.0.1",
        "8.8.8.8",
        "8.8.4.4",
        "9.9.9.9",
        "149.112.112.112",
        "208.67.222.222",
        "94.140.14.14",
    )
)
_RESOLVER_NAMES = (
    "dns.google",
    "cloudflare-dns.com",
    "one.one.one.one",
    "dns.quad9.net",
    "doh.opendns.com",
    "dns.adguard.com",
)
_BROKERS = re.compile(r"(^|[-_.])(kafka|rabbitmq|redpanda|pulsar|activemq|nats)([-_.]|$)", re.IGNORECASE)
_EVERYWHERE = frozenset({"all", "world", "world-ipv4"})


@dataclass(frozen=True)
class Service:
    """A Service among the given files: what it selects, and its ports (own -> the backend's, where it is a number)."""

    namespace: str
    name: str
    selector: Mapping[str, str]
    ports: Mapping[int, int]


def reach(rules: Rules, services: Iterable[Service]) -> Iterator[Hit]:
    """Every such destination of the rules."""
    known = list(services)
    for placed in rules.judged:
        if placed.rule.on_nodes or placed.rule.is_deny:
            continue
        if placed.opens_egress:
            yield from _metadata(placed, rules)
            yield from _resolvers(placed)
            yield from _dns_server(placed)
            yield from _service_port(placed, known)
        elif placed.rule.direction == INGRESS:
            yield from _broker(placed)


def one_family(policy: Policy) -> Iterator[Hit]:
    """A deny of IPv4 ranges that says nothing about IPv6."""
    denies = [(entry, text) for entry in policy.entries if entry.is_deny for _, text in entry.ranges]
    if denies and not any(":" in text for _, text in denies):
        entry = denies[0][0]
        yield Hit("TN808", policy, entry.path, "denies IPv4 ranges only; IPv6 passes")


def own_dns_server(policy: Policy) -> Iterator[Hit]:
    """A DNS server named by its label alone is looked for in the policy's own namespace."""
    if policy.kind != NAMESPACED or policy.document.namespace in {None, "kube-system"}:
        return
    for entry in policy.entries:
        if not entry.opens_egress or not entry.has_ports or not (entry.covers(53, "UDP") or entry.covers(53, "TCP")):
            continue
        for selector in entry.selectors:
            values = {value for term in selector.terms for value in term.values}
            if values & {"kube-dns", "coredns"} and not any(term.is_namespace for term in selector.terms):
                detail = f"is looked for in {policy.document.namespace}, where the cluster's DNS server is not"
                yield Hit("TN805", policy, selector.path, detail)


def service_of(body: Mapping[str, Any]) -> Service:
    """A Service document."""
    metadata, spec = mapped(body.get("metadata")), mapped(body.get("spec"))
    ports = {}
    for item in listed(spec.get("ports")):
        own, target = mapped(item).get("port"), mapped(item).get("targetPort", mapped(item).get("port"))
        if isinstance(own, int) and isinstance(target, int):
            ports[own] = target
    selector = {str(key): str(value) for key, value in mapped(spec.get("selector")).items()}
    return Service(str(metadata.get("namespace", "default")), str(metadata.get("name", "")), selector, ports)


def _metadata(placed: Placed, rules: Rules) -> Iterator[Hit]:
    if not placed.rule.covers(_HTTP) or not _selects(placed, _METADATA):
        return
    if any(
        other.rule.is_deny and other.rule.covers(_HTTP) and _selects(other, _METADATA) for other in rules.beside(placed)
    ):
        return
    yield Hit("TN801", placed.policy, placed.entry_path, f"reaches {_METADATA}, and no given policy denies it")


def _selects(placed: Placed, address: IPv4Address) -> bool:
    if placed.rule.peers is None:
        return True
    for peer in placed.rule.peers:
        if is_entity(peer, _EVERYWHERE):
            return True
        if isinstance(peer, Cidr) and address in peer.network and not any(address in gap for gap in peer.excepted):
            return True
    return False


def _resolvers(placed: Placed) -> Iterator[Hit]:
    rule, ports = placed.rule, placed.exact_ports()
    if rule.dns is None and ports & _DNS:
        if placed.leads_outside:
            yield Hit("TN802", placed.policy, placed.path, "questions to other resolvers pass no name filter")
        else:
            yield Hit("TN806", placed.policy, placed.path, "every name is answered")
    encrypted = {port.number for port in ports} & {_DNS_OVER_TLS}
    if (encrypted and placed.leads_outside) or (rule.covers(_HTTPS) and _names_resolver(placed)):
        yield Hit("TN803", placed.policy, placed.path, "a resolver that speaks TLS answers any name unseen")


def _names_resolver(placed: Placed) -> bool:
    for peer in placed.rule.peers or ():
        if isinstance(peer, Fqdn) and any(peer.pattern.matches(name) for name in _RESOLVER_NAMES):
            return True
        if (
            isinstance(peer, Cidr)
            and peer.network.num_addresses == 1
            and peer.network.network_address in _RESOLVER_ADDRESSES
        ):
            return True
    return False


def _dns_server(placed: Placed) -> Iterator[Hit]:
    if placed.rule.dns is None:
        return
    if placed.leads_outside:
        is_one = all(
            isinstance(peer, Cidr) and peer.network.num_addresses == 1 for peer in placed.rule.peers or (None,)
        )
        who = "is outside of the cluster" if is_one else "may be anyone"
        yield Hit("TN804", placed.policy, placed.entry_path, f"the DNS server {who}")
        return
    for peer in placed.rule.peers or ():
        if not isinstance(peer, Endpoints):
            continue
        if peer.selector.namespaces is None:
            yield Hit("TN804", placed.policy, placed.entry_path, "the DNS server's namespace is not pinned")
        elif not any(_names_pods(term) for term in peer.selector.requirements):
            shown = ", ".join(sorted(peer.selector.namespaces))
            yield Hit("TN810", placed.policy, placed.entry_path, f"any pod of {shown} may answer")


def _names_pods(term: Requirement) -> bool:
    """Whether a term chooses among the pods of a namespace."""
    is_about_place = term.key in {NAMESPACE, CLUSTER} or term.key.startswith(NAMESPACE_LABELS)
    return term.operator == "In" and not is_about_place


def _service_port(placed: Placed, services: Iterable[Service]) -> Iterator[Hit]:
    for port in placed.exact_ports():
        for service in services:
            if service.ports.get(port.number, port.number) == port.number or port.number in service.ports.values():
                continue
            if any(
                isinstance(peer, Endpoints) and _is_backend(peer.selector, service) for peer in placed.rule.peers or ()
            ):
                target = service.ports[port.number]
                detail = f"{port.number} is the port of Service {service.name}; its pods listen on {target}"
                yield Hit("TN809", placed.policy, placed.path, detail)


def _is_backend(selector: LabelSelector, service: Service) -> bool:
    if selector.namespaces != frozenset({service.namespace}) or not service.selector:
        return False
    return all(selector.values_of(key) == {value} for key, value in service.selector.items())


def _broker(placed: Placed) -> Iterator[Hit]:
    """Brokers wait for connections; they dial each other and nobody else."""
    if _is_broker(placed.rule.subject):
        return
    for peer in placed.rule.peers or ():
        if isinstance(peer, Endpoints) and _is_broker(peer.selector):
            yield Hit("TN807", placed.policy, placed.entry_path, "admits connections from a message broker")
            return


def _is_broker(selector: LabelSelector) -> bool:
    keys = {NAMESPACE, ACCOUNT, "app", "app.kubernetes.io/name", "k8s-app", "name"}
    return any(_BROKERS.search(value) for key in keys for value in selector.values_of(key))
