"""Addresses outside of the cluster and of its nodes: addresses (3), metadata (4), node_ports (4), resolvers (4)."""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network

from isolation.classes.buckets import bucket_host, is_outside_host, needed_names
from isolation.classes.certificates import describe, shown
from isolation.classes.cluster import METADATA, Cluster, Outsider, Party
from isolation.classes.edges import API_SERVERS, HOSTS, TLS
from isolation.classes.pod_classes import PodClass
from isolation.classes.probes import flow_line
from isolation.classes.roles import Role
from isolation.policies.entities import Fqdn
from isolation.policies.identities import Identity, outside
from isolation.policies.names import normal
from isolation.policies.parsing import EGRESS, Rule
from isolation.policies.ports import Port
from isolation.results import CounterExample, Result, origins
from isolation.verdicts.world import SideVerdict

# Private ranges, to both ends of which an allowed outside name might be made to lead.
PRIVATE_RANGES = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
)
PRIVATE = tuple(str(end) for network in map(ip_network, PRIVATE_RANGES) for end in (network[1], network[-2]))
# Kubelet, its read-only port, etcd and its peers, SSH, the ends of the node port range, the health ports of the agent.
NODE_PORTS = tuple(Port(number, "TCP") for number in (22, 2379, 2380, 4240, 9879, 10250, 10255, 10256, 30000, 32767))
# Resolvers of others, plain, over TLS and over HTTPS.
PUBLIC_RESOLVERS = ("1.1.1.1", "8.8.8.8", "9.9.9.9", "2606:4700:4700::1111", "2001:4860:4860::8888")
RESOLVER_NAMES = ("cloudflare-dns.com", "dns.google", "dns.quad9.net", "one.one.one.one", "mozilla.cloudflare-dns.com")
_PLAIN = tuple(Port(number, protocol) for number in (53, 853, 5353) for protocol in ("UDP", "TCP"))
_HTTPS = (Port(443, "UDP"), TLS)


def addresses(cluster: Cluster) -> Result:
    """No address whose only names are another tenant's is reached; what several tenants name needs server names.

    Of a bucket in the cluster the address is its gateway's pod, which `apart` asks about.
    """
    owners = owners_of_names(cluster)
    asked, broken, shared = 0, list[CounterExample](), dict[str, None]()
    for pods in cluster.classes.of_tenants:
        asked += len(owners)
        for other, ports in cluster.reached(pods, EGRESS):
            if not other.identity.names:
                continue
            (name,) = other.identity.names
            verdict = cluster.side(pods, EGRESS).verdict(other.identity, ports[0])
            if (owned := owners.get(normal(name))) and pods.role.tenant not in owned:
                what = f"reaches the addresses of {name}, a name of {', '.join(sorted(owned))}, on {shown(ports)}"
                broken.append(_to(pods, other, ports[0], what=what, verdict=verdict))
            elif any(not _is_held(cluster.alternatives(pods, other.identity, port)) for port in ports):
                what = f"reaches {name} on {shown(ports)} without server names, and its addresses may be shared"
                broken.append(_to(pods, other, ports[0], what=what, verdict=verdict))
            else:
                shared[f"{name}: its addresses may be shared; held to server names by {origins(verdict.by)[0]}"] = None
    claim = "no address that only another tenant names is reached; shared ones need server names"
    return Result("addresses", claim, asked, tuple(broken), vacuous=_no_names(owners), evidence=tuple(shared), number=3)


def metadata(cluster: Cluster) -> Result:
    """Rebinding: an allowed name that is made to lead to machine credentials or private addresses opens nothing."""
    exempt = (*cluster.profile.private_addresses, *cluster.profile.api_addresses)
    asked, broken = 0, []
    platform = [each for each in cluster.classes.all if each.role.tenant is None and each.exists]
    for pods in (*cluster.classes.of_tenants, *platform):
        side = cluster.side(pods, EGRESS)
        for target in rebound(cluster, pods):
            if target.address is None or any(target.address in network for network in exempt):
                continue
            asked += len(cluster.ports)
            if ports := cluster.open_ports(side, target):
                verdict = side.verdict(target, ports[0])
                what = f"reaches {target.name} on {shown(ports)}"
                broken.append(_to(pods, Outsider(Role("metadata"), target), ports[0], what=what, verdict=verdict))
    claim = "no allowed name leads to machine credentials or private addresses"
    return Result("metadata", claim, asked, tuple(broken), row="H14", evidence=tuple(_denies(cluster)), number=4)


def node_ports(cluster: Cluster) -> Result:
    """Kubelet, etcd, node ports and the agent's own, on every kind of node; and the API server's port for few."""
    targets = list(_nodes(cluster))
    asked, broken = 0, []
    for pods in cluster.classes.of_tenants:
        side = cluster.side(pods, EGRESS)
        for target in targets:
            asked += len(NODE_PORTS)
            ports = tuple(port for port in NODE_PORTS if side.verdict(target.identity, port).is_allowed)
            if ports:
                verdict = side.verdict(target.identity, ports[0])
                what = describe(pods, target, direction=EGRESS, ports=ports)
                broken.append(_to(pods, target, ports[0], what=what, verdict=verdict))
    claim = "no pod of a tenant reaches kubelet, etcd or a node port"
    evidence = (f"asked of {', '.join(map(str, targets))} on {', '.join(str(port.number) for port in NODE_PORTS)}",)
    return Result("node-ports", claim, asked, tuple(broken), row="H14", evidence=evidence, number=4)


def resolvers(cluster: Cluster) -> Result:
    """Names are asked of the cluster's resolver and of nobody else: not plainly, not over TLS, not over HTTPS."""
    known: list[Party] = [*map(_address, PUBLIC_RESOLVERS), *map(_named, RESOLVER_NAMES)]
    others = [each for each in cluster.parties if _is_no_resolver(cluster, each)]
    asked, broken = 0, list[CounterExample]()
    for pods in cluster.classes.of_tenants:
        for group, ports in ((known, (*_PLAIN, *_HTTPS)), (others, _PLAIN)):
            asked += len(group) * len(ports)
            broken += _asked_resolvers(cluster, pods, group, ports=ports)
    claim = "no pod of a tenant asks another resolver, plainly or over TLS or HTTPS"
    return Result("resolvers", claim, asked, tuple(broken), row="H14", number=4)


def _is_held(rules: Iterable[Rule]) -> bool:
    """Whether every allow is held to server names; a flow that no rule allows, but no rule denies either, is not."""
    found = tuple(rules)
    return bool(found) and all(rule.server_names is not None for rule in found)


def _is_no_resolver(cluster: Cluster, party: Party) -> bool:
    """Of the platform or an address, and not the resolver; addresses of names are asked on 443 by `closed`."""
    if party.role.tenant is not None or party.identity.names or party in cluster.resolvers:
        return False
    return not (party.role.name in HOSTS and cluster.profile.dns_mode == "node")


def _asked_resolvers(
    cluster: Cluster, pods: PodClass, others: Iterable[Party], *, ports: tuple[Port, ...]
) -> Iterator[CounterExample]:
    side = cluster.side(pods, EGRESS)
    for other in others:
        selecting = side.selecting(other.identity)
        if side.is_shut(selecting, other.identity):
            continue
        found = tuple(port for port in ports if side.decide(selecting, other.identity, port).is_allowed)
        if found:
            what = f"may ask {other} for names on {shown(found)}"
            yield _to(pods, other, found[0], what=what, verdict=side.verdict(other.identity, found[0]))


def owners_of_names(cluster: Cluster) -> Mapping[str, frozenset[str]]:
    """Name -> the tenants that it belongs to: buckets by the judge's own rule, hosts by the tenants that list them.

    The base models' bucket and the token service belong to all, so they are not here.
    """
    profile, found = cluster.profile, dict[str, set[str]]()
    if profile.storage_mode == "s3":
        found = {normal(bucket_host(profile, tenant)): {tenant} for tenant in cluster.classes.tenants}
    needed = {name for pods in cluster.classes.of_tenants for name in needed_names(profile, pods.role)}
    fixed = {*found, *map(normal, needed)}
    listed = [
        *((pods.role.tenant or "", rule) for pods in cluster.classes.of_tenants for rule in _egress(cluster, pods)),
        *_callbacks(cluster),
    ]
    for tenant, rule in listed:
        for peer in (peer for peer in rule.peers or () if isinstance(peer, Fqdn) and not peer.pattern.is_pattern):
            if (name := normal(peer.pattern.text)) not in fixed:
                found.setdefault(name, set()).add(tenant)
    return {name: frozenset(tenants) for name, tenants in found.items()}


def fqdn_names(rules: Iterable[Rule]) -> Iterator[str]:
    """Names to whose addresses a rule opens; of a pattern, one that it matches."""
    for peer in (peer for rule in rules for peer in rule.peers or ()):
        if isinstance(peer, Fqdn):
            yield peer.pattern.text.replace("*", "x")


def rebound(cluster: Cluster, pods: PodClass) -> Iterator[Identity]:
    """Addresses that no name should lead to, each with every name that the class may reach learned for it.

    A platform's own host, such as that of Git, may have a private address; hosts that tenants name may not.
    """
    allowed = frozenset(fqdn_names(cluster.side(pods, EGRESS).rules))
    if pods.role.tenant is None and not allowed:
        return  # what it reaches without names is asked by `closed`
    store = frozenset(needed_names(cluster.profile, pods.role))
    by_tenants = pods.role.tenant is not None or pods.role.name == "webhooks"
    private = PRIVATE if by_tenants and any(is_outside_host(name) for name in allowed - store) else ()
    for address in map(ip_address, (*METADATA, *private)):
        name = f"{address} as {', '.join(sorted(allowed)) or 'no name'}"
        yield outside(name, address=address, names=allowed)


def _nodes(cluster: Cluster) -> Iterator[Party]:
    for role in dict.fromkeys((*HOSTS, *API_SERVERS, "remote-node")):
        yield from cluster.by_role.get((role, None), ())
    for network in cluster.profile.node_ranges:
        yield _address(str(network[1] if network.num_addresses > 1 else network[0]))


def _egress(cluster: Cluster, pods: PodClass) -> tuple[Rule, ...]:
    return cluster.side(pods, EGRESS).rules


def _callbacks(cluster: Cluster) -> Iterator[tuple[str, Rule]]:
    """Rules of the webhook sender that stand in a tenant's folder."""
    for pods in cluster.by_role.get(("webhooks", None), ()):
        for rule in cluster.side(pods, EGRESS).rules:
            place = rule.origin.document.place
            if place[:1] == ("tenants",):
                yield place[1], rule


def _denies(cluster: Cluster) -> Iterator[str]:
    """The rules that deny ranges, which win over every allow."""
    found = {
        str(rule.origin): len(rule.peers or ()) for rule in cluster.rules if rule.is_deny and rule.direction == EGRESS
    }
    yield from (f"{count} ranges are denied by {origin}" for origin, count in sorted(found.items()))


def _no_names(owners: Mapping[str, frozenset[str]]) -> str:
    return "" if owners else "no tenant names a host outside of the cluster"


def _address(text: str) -> Outsider:
    return Outsider(Role("world"), outside(text, address=ip_address(text)))


def _named(name: str) -> Outsider:
    return Outsider(Role("name"), outside(name, names=frozenset({name})))


def _to(pods: PodClass, other: Party, port: Port, *, what: str, verdict: SideVerdict) -> CounterExample:
    by = origins(verdict.by) or ("no rule enforces this direction",)
    return CounterExample(str(pods), what, by, flow_line(pods, other, port, direction=EGRESS), "allow")
