"""Liveness (invariant 7), so that "deny everything" is no proof: each declared edge is open on both of its sides."""

from collections.abc import Iterator
from itertools import product

from isolation.classes.buckets import is_outside_host, needed_names
from isolation.classes.certificates import shown
from isolation.classes.cluster import Cluster, Party
from isolation.classes.edges import ANY_PORT, DNS, TLS, Edge, edges
from isolation.classes.platform_edges import platform_edges
from isolation.classes.platform_names import needed_entries
from isolation.classes.pod_classes import PodClass
from isolation.classes.probes import flow_line, query_line
from isolation.classes.profile import Profile
from isolation.classes.roles import Role
from isolation.network.flows import governed_pods
from isolation.policies.identities import outside
from isolation.policies.parsing import EGRESS, INGRESS
from isolation.policies.ports import Port
from isolation.results import CounterExample, Result, origins
from isolation.verdicts.world import Dns

_NOBODY = "no pod plays this part"


def alive(cluster: Cluster) -> Result:
    """Liveness, so that "deny everything" is no proof: every declared edge is open on both of its sides."""
    asked, broken = 0, list[CounterExample]()
    declared = [edge for edge in edges(cluster.profile) if not edge.is_optional]
    among_platform = product((edge for edge in platform_edges(cluster.profile) if not edge.is_optional), [None])
    for edge, tenant in (*product(declared, cluster.classes.tenants), *among_platform):
        pairs = [pair for pair in product(*_ends(cluster, edge, tenant)) if edge.joins(pair[0].role, pair[1].role)]
        if not pairs:
            broken.append(CounterExample(tenant or "platform", f"{edge.source} -> {edge.destination}: {_NOBODY}"))
        for source, destination in pairs:
            asked += len(_ports(cluster, edge))
            broken += _dead_sides(cluster, edge, source=source, destination=destination)
    rendered = (each for each in cluster.classes.of_tenants if each.is_rendered)
    platform = (each for each in governed_pods(cluster) if not each.chosen)
    for pods in (*rendered, *platform):
        checked = list(_name_liveness(cluster, pods))
        asked += len(checked)
        broken += [fault for fault in checked if fault is not None]
    claim = "everything a job and a model need is open"
    evidence = (f"{len(declared)} edges for each of {len(cluster.classes.tenants)} tenants are open on both sides",)
    return Result("alive", claim, asked, tuple(dict.fromkeys(broken)), evidence=evidence, number=7)


def _ends(cluster: Cluster, edge: Edge, tenant: str | None) -> tuple[list[Party], list[Party]]:
    """The parties that play source and destination for one tenant, or among the platform; a tenant's own pods only
    where their account is rendered, and pods as they are rendered, without labels of an author's choice."""
    source, destination = (
        [
            party
            for owner in dict.fromkeys((tenant, None))
            for party in cluster.by_role.get((role, owner), ())
            if not isinstance(party, PodClass) or (party.is_rendered if owner else not party.chosen)
        ]
        for role in (edge.source, edge.destination)
    )
    return source, destination


def _ports(cluster: Cluster, edge: Edge) -> tuple[Port, ...]:
    return cluster.ports if edge.port is ANY_PORT else (Port(edge.port, edge.protocol),)


def _dead_sides(cluster: Cluster, edge: Edge, *, source: Party, destination: Party) -> Iterator[CounterExample]:
    for side, party, other in ((EGRESS, source, destination), (INGRESS, destination, source)):
        asked = cluster.side(party, side)
        dead = [port for port in _ports(cluster, edge) if not asked.verdict(other.identity, port).is_allowed]
        if side in edge.sides and dead:
            what = f"{source} -> {destination} on {shown(dead)} is refused by {side} of {party}"
            line = flow_line(source, destination, dead[0], direction=side)
            yield CounterExample(str(source), what, origins(asked.verdict(other.identity, dead[0]).by), line, "deny")


def _name_liveness(cluster: Cluster, pods: PodClass) -> Iterator[CounterExample | None]:
    """One item per question: None when the name is answered, and reachable where it leads outside."""
    side, profile = cluster.side(pods, EGRESS), cluster.profile
    needed = _needed(profile, pods.role)
    listed = {entry.text for rule in side.rules for entry in rule.dns or () if not entry.is_pattern}
    hosts = {name for name in listed if is_outside_host(name)}
    for server, port in ((server, port) for server in cluster.resolvers for port in DNS):
        found = side.name_filter(server.identity, port)
        for name in dict.fromkeys((*needed, *sorted(hosts))):
            answer = found.query(name)
            what = f"needs {name} and is {answer} ({port})"
            line = query_line(pods, server, port, name=name)
            fault = CounterExample(str(pods), what, origins(found.rules), line, str(answer))
            yield None if answer is Dns.ANSWERED else fault
    if profile.storage_mode == "s3":
        hosts |= {name for name in needed if name.endswith(".amazonaws.com")}
    for name in sorted(hosts):
        verdict = side.verdict(outside(name, names=frozenset({name})), TLS)
        is_named = any(entry.matches(name) for rule in verdict.by for entry in rule.server_names or ())
        what = f"may ask for {name} and cannot reach it on {TLS} by that server name"
        yield None if verdict.is_allowed and is_named else CounterExample(str(pods), what, origins(verdict.by))


def _needed(profile: Profile, role: Role) -> tuple[str, ...]:
    """Names that must be answered; of a pattern of the platform's, one that it matches."""
    if role.tenant is None:
        return tuple(entry.replace("*", "x") for entry in needed_entries(profile, role.name))
    return needed_names(profile, role)
