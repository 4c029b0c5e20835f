"""Cilium policies from trusted keys only.

A pod's author cannot choose its namespace, its service account or the labels of its Namespace; every other label he
can. So selectors are made here alone and take namespaces and accounts, never labels (DESIGN D11). Empty sections are
left out: Cilium reads `egress: []` as "no rule" and refuses or opens.
"""

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

from generators.inputs.platform import Platform
from generators.manifest import Body
from generators.naming import PLANE_LABEL
from generators.versions import CILIUM, NETWORKING

NAMESPACE = "k8s:io.kubernetes.pod.namespace"
ACCOUNT = "k8s:io.cilium.k8s.policy.serviceaccount"
PLANE = f"k8s:io.cilium.k8s.namespace.labels.{PLANE_LABEL}"

# Ranges that no host name of a tenant may lead to, unless platform.yaml names the address.
PRIVATE_RANGES = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
)


def subject(*accounts: str) -> Body:
    """The pods of these accounts, in the policy's own namespace."""
    return _selector({}, accounts)


def pods(namespace: str, *accounts: str) -> Body:
    """The pods of a namespace: of these accounts, or all of them."""
    return _selector({NAMESPACE: namespace}, accounts)


def pods_of_plane(plane: str, *accounts: str) -> Body:
    """The pods of these accounts in every namespace of a plane; for platform policies, so that no tenant is listed."""
    return _selector({PLANE: plane}, accounts)


def tcp(*ports: int) -> list[Body]:
    return [{"ports": [{"port": str(port), "protocol": "TCP"} for port in ports]}]


def to_pods(peers: Sequence[Body], *ports: int) -> Body:
    return {"toEndpoints": list(peers), **_ports(ports)}


def from_pods(peers: Sequence[Body], *ports: int) -> Body:
    return {"fromEndpoints": list(peers), **_ports(ports)}


def to_entity(entity: str, *ports: int) -> Body:
    return {"toEntities": [entity], **_ports(ports)}


def from_entity(entity: str, *ports: int) -> Body:
    return {"fromEntities": [entity], **_ports(ports)}


def to_host(host: str) -> Body:
    """HTTPS to one outside name: by its learned addresses and by the TLS server name, which shared addresses need."""
    https = {"ports": [{"port": "443", "protocol": "TCP"}], "serverNames": [host]}
    return {"toFQDNs": [{"matchName": host}], "toPorts": [https]}


def to_hosts_like(pattern: str) -> Body:
    """The same for a pattern; for the platform's own services only."""
    https = {"ports": [{"port": "443", "protocol": "TCP"}], "serverNames": [pattern]}
    return {"toFQDNs": [{"matchPattern": pattern}], "toPorts": [https]}


def resolve(platform: Platform, names: Sequence[str], *, patterns: Sequence[str] = ()) -> Body:
    """Questions for these names to the cluster's resolver. A pod has exactly one such rule (D11a)."""
    allowed = [{"matchName": name} for name in names] + [{"matchPattern": pattern} for pattern in patterns]
    ports = [{"port": "53", "protocol": "UDP"}, {"port": "53", "protocol": "TCP"}]
    return {**_resolver(platform), "toPorts": [{"ports": ports, "rules": {"dns": allowed}}]}


def private_ranges(platform: Platform) -> Body:
    """Deny of private addresses, whatever a name leads to; it wins over every allow.

    The API server and the private addresses of allowed names are cut out, else the deny would hit them too.
    """
    needed = (*platform.private_addresses, *platform.api_server.addresses)
    ranges = []
    for cidr in PRIVATE_RANGES:
        inside = [address for address in needed if _contains(cidr, address)]
        ranges.append({"cidr": cidr, **({"except": inside} if inside else {})})
    return {"toCIDRSet": ranges}


def policy(name: str, *, of: Body, labels: Body, **sections: Sequence[Body]) -> Body:
    """A CiliumNetworkPolicy on the pods `of`; sections: ingress, egress, egress_deny. Empty ones are left out."""
    spec = {"endpointSelector": of, **_sections(sections)}
    return {"apiVersion": CILIUM, "kind": "CiliumNetworkPolicy", "metadata": _metadata(name, labels), "spec": spec}


def clusterwide(name: str, *, of: Body, labels: Body, default_deny: bool, **sections: Sequence[Body]) -> Body:
    """A CiliumClusterwideNetworkPolicy; without default deny it takes nothing away but what it denies."""
    spec = {"endpointSelector": of, **_sections(sections)}
    if not default_deny:
        spec["enableDefaultDeny"] = {"ingress": False, "egress": False}
    kind = "CiliumClusterwideNetworkPolicy"
    return {"apiVersion": CILIUM, "kind": kind, "metadata": _metadata(name, labels), "spec": spec}


def default_deny(labels: Body) -> Body:
    """Deny of everything, both ways. Native, because no Cilium parser can lose it; one per namespace."""
    spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    body = {"apiVersion": NETWORKING, "kind": "NetworkPolicy", "spec": spec}
    return {**body, "metadata": _metadata("default-deny", labels)}


def _sections(given: dict[str, Sequence[Body]]) -> dict[str, Any]:
    names = {"ingress": "ingress", "egress": "egress", "egress_deny": "egressDeny"}
    return {names[key]: list(rules) for key, rules in given.items() if rules}


def _metadata(name: str, labels: Body) -> Body:
    return {"name": name, "labels": labels}


def _selector(trusted: dict[str, str], accounts: Sequence[str]) -> Body:
    match len(accounts):
        case 0:
            return {"matchLabels": trusted} if trusted else {}
        case 1:
            return {"matchLabels": {**trusted, ACCOUNT: accounts[0]}}
    among = {"key": ACCOUNT, "operator": "In", "values": list(accounts)}
    return {**({"matchLabels": trusted} if trusted else {}), "matchExpressions": [among]}


def _ports(ports: Sequence[int]) -> Body:
    return {"toPorts": tcp(*ports)} if ports else {}


def _resolver(platform: Platform) -> Body:
    if platform.dns.mode == "node":  # the cache answers on the node's own address, which is identity `host`
        return {"toEntities": ["host"]}
    return {"toEndpoints": [pods(platform.dns.namespace, platform.dns.account)]}


def _contains(cidr: str, address: str) -> bool:
    outer, inner = ip_network(cidr), ip_network(address)
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]
