"""The claims about a tree, put to Cilium's engine itself: nothing here asks our evaluator for a verdict.

From the judge come only the parties, the declared edges and the spellings of names, which are its statements.
"""

from collections.abc import Iterator, Sequence
from itertools import product

from controlplane.oracle import Oracle
from isolation.classes.buckets import bucket_spellings, needed_names
from isolation.classes.cluster import Cluster, Party
from isolation.classes.edges import ANY_PORT, DNS, Edge, edges
from isolation.classes.platform_edges import platform_edges
from isolation.classes.pod_classes import PodClass
from isolation.classes.probes import flow_line, query_line
from isolation.policies.parsing import EGRESS, INGRESS
from isolation.policies.ports import Port

from differential.compare import Comparison
from differential.worlds import Line, world_of


def crossings(oracle: Oracle, cluster: Cluster) -> Comparison:
    """Flows between pods of two tenants that either side does not refuse, on any port."""
    oracle.ask([world_of(cluster)])
    pods = cluster.classes.of_tenants
    ports = [(port.number, port.protocol) for port in cluster.ports]
    names, asked, found = [str(each) for each in pods], 0, list[str]()
    for direction in (EGRESS, INGRESS):
        matrix = oracle.matrix(names, names, ports, direction=direction)
        for place, (subject, peer) in enumerate(product(pods, pods)):
            if subject.role.tenant == peer.role.tenant:
                continue
            asked += len(ports)
            cells = matrix.cells[place * len(ports) : (place + 1) * len(ports)]
            if values := {matrix.values[cell] for cell in cells} - {"deny"}:
                found.append(f"{direction} of {subject}, {peer}: {', '.join(sorted(values))}")
    return Comparison(asked, tuple(found))


def dead_edges(oracle: Oracle, cluster: Cluster) -> Comparison:
    """Declared edges that are not open on the sides that they are declared for, or that join nobody."""
    flows = {edge: list(_edge_flows(cluster, edge)) for edge in _required(cluster)}
    found = _asked(
        oracle, cluster, [line for lines in flows.values() for line in lines], field="verdict", wanted="allow"
    )
    idle = tuple(f"{edge.source} -> {edge.destination}: no pod plays this part" for edge in flows if not flows[edge])
    return Comparison(found.asked, (*idle, *found.mismatches))


def foreign_names(oracle: Oracle, cluster: Cluster) -> Comparison:
    """Names of other tenants' buckets, in every spelling, that a tenant's pod is answered."""
    queries = [
        query_line(pods, server, port, name=name)
        for pods in cluster.classes.of_tenants
        for tenant in cluster.classes.tenants
        if tenant != pods.role.tenant
        for name in bucket_spellings(cluster.profile, tenant)
        for server, port in product(cluster.resolvers, DNS)
    ]
    return _asked(oracle, cluster, queries, field="dns", wanted="refused or dropped")


def unanswered_names(oracle: Oracle, cluster: Cluster) -> Comparison:
    """Names that a tenant's rendered pods need and are not answered."""
    queries = [
        query_line(pods, server, port, name=name)
        for pods in cluster.classes.of_tenants
        if pods.is_rendered
        for name in needed_names(cluster.profile, pods.role)
        for server, port in product(cluster.resolvers, DNS)
    ]
    return _asked(oracle, cluster, queries, field="dns", wanted="answered")


def _asked(oracle: Oracle, cluster: Cluster, lines: Sequence[Line], *, field: str, wanted: str) -> Comparison:
    _, *answers = oracle.ask([world_of(cluster), *lines])
    pairs = zip(lines, answers, strict=True)
    wrong = [f"{line}: {answer}" for line, answer in pairs if answer.get(field) not in wanted.split(" or ")]
    return Comparison(len(lines), tuple(wrong))


def _required(cluster: Cluster) -> list[Edge]:
    declared = (*edges(cluster.profile), *platform_edges(cluster.profile))
    return [edge for edge in declared if not edge.is_optional]


def _edge_flows(cluster: Cluster, edge: Edge) -> Iterator[Line]:
    roles = (edge.source, edge.destination)
    ends = ([party for party in cluster.parties if party.role.name == role and _stands(party)] for role in roles)
    ports = cluster.ports if edge.port is ANY_PORT else (Port(edge.port, edge.protocol),)
    for source, destination in product(*ends):
        if edge.joins(source.role, destination.role):
            for side, port in product(sorted(edge.sides), ports):
                yield flow_line(source, destination, port, direction=side)


def _stands(party: Party) -> bool:
    """Pods as they are rendered: an edge is no promise to an account that is not there."""
    return not isinstance(party, PodClass) or (party.is_rendered if party.role.tenant else not party.chosen)
