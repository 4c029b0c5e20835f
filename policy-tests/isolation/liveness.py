"""Liveness (invariant 7), so that "deny everything" is no proof: each declared edge is open on both of its sides."""

from collections.abc import Iterator
from itertools import product

from isolation.buckets import is_outside_host, needed_names
from isolation.classes import PodClass
from isolation.cluster import Cluster, Party
from isolation.edges import ANY_PORT, DNS, TLS, Edge, edges
from isolation.identities import outside
from isolation.policies import EGRESS
from isolation.ports import Port
from isolation.results import CounterExample, Result, origins
from isolation.verdicts import Dns


def alive(cluster: Cluster) -> Result:
    """Liveness, so that "deny everything" is no proof: every declared edge is open on both of its sides."""
    asked, broken = 0, list[CounterExample]()
    for edge, tenant in product(edges(cluster.profile), cluster.classes.tenants):
        if edge.is_optional:
            continue
        pairs = [pair for pair in product(*_ends(cluster, edge, tenant)) if edge.joins(pair[0].role, pair[1].role)]
        if not pairs:
            broken.append(CounterExample(tenant, f"{edge.source} -> {edge.destination}: no pod plays this part"))
        for source, destination in pairs:
            for port in _ports(cluster, edge):
                asked += 1
                broken += _dead_sides(cluster, source, destination, port)
    for pods in (each for each in cluster.classes.of_tenants if each.exists):
        checked = list(_name_liveness(cluster, pods))
        asked += len(checked)
        broken += [fault for fault in checked if fault is not None]
    return Result("alive", "everything a job and a model need is open", asked, tuple(dict.fromkeys(broken)))


def _ends(cluster: Cluster, edge: Edge, tenant: str) -> tuple[list[Party], list[Party]]:
    """The parties that play source and destination for one tenant; its own pods only where their account exists."""
    source, destination = (
        [
            party
            for owner in (tenant, None)
            for party in cluster.by_role.get((role, owner), ())
            if owner is None or (isinstance(party, PodClass) and party.exists)
        ]
        for role in (edge.source, edge.destination)
    )
    return source, destination


def _ports(cluster: Cluster, edge: Edge) -> tuple[Port, ...]:
    return cluster.ports if edge.port is ANY_PORT else (Port(edge.port, edge.protocol),)


def _dead_sides(cluster: Cluster, source: Party, destination: Party, port: Port) -> Iterator[CounterExample]:
    verdict = cluster.world.flow(source.identity, destination.identity, port)
    for side, party, answer in (("egress", source, verdict.egress), ("ingress", destination, verdict.ingress)):
        if not answer.is_allowed:
            what = f"{source} -> {destination} on {port} is refused by {side} of {party}"
            yield CounterExample(str(source), what, origins(answer.by))


def _name_liveness(cluster: Cluster, pods: PodClass) -> Iterator[CounterExample | None]:
    """One item per question: None when the name is answered, and reachable where it leads outside."""
    side, profile = cluster.side(pods, EGRESS), cluster.profile
    needed = needed_names(profile, pods.role)
    for server, port in ((server, port) for server in cluster.resolvers for port in DNS):
        found = side.name_filter(server.identity, port)
        for name in needed:
            answer = found.query(name)
            what = f"needs {name} and is {answer} ({port})"
            yield None if answer is Dns.ANSWERED else CounterExample(str(pods), what, origins(found.rules))
    listed = {entry.text for rule in side.rules for entry in rule.dns or () if not entry.is_pattern}
    hosts = {name for name in listed if is_outside_host(name)}
    if profile.storage_mode == "s3":
        hosts |= {name for name in needed if name.endswith(".amazonaws.com")}
    for name in sorted(hosts):
        verdict = side.verdict(outside(name, names=frozenset({name})), TLS)
        is_named = any(entry.matches(name) for rule in verdict.by for entry in rule.server_names or ())
        what = f"may ask for {name} and cannot reach it on {TLS} by that server name"
        yield None if verdict.is_allowed and is_named else CounterExample(str(pods), what, origins(verdict.by))
