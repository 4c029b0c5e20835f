"""The invariants about flows between pods: apart (1), mergeable (8), closed (9). Each asks every class; none stops at
the first fault. Those about names, about addresses outside and about life have modules of their own.
"""

from collections.abc import Iterable, Iterator
from functools import partial

from isolation.classes.buckets import may_list
from isolation.classes.certificates import by_namespace, describe, sides
from isolation.classes.cluster import Cluster, Party
from isolation.classes.edges import TLS, Edge, edges
from isolation.classes.platform_edges import platform_edges
from isolation.classes.pod_classes import PodClass
from isolation.classes.probes import flow_line
from isolation.classes.roles import governed_namespaces
from isolation.policies.names import NamePattern
from isolation.policies.parsing import EGRESS, INGRESS
from isolation.policies.ports import Port
from isolation.results import CounterExample, CounterExamples, Result, origins

_DIRECTIONS = (EGRESS, INGRESS)


def apart(cluster: Cluster) -> Result:
    """Two locks: the source's egress and the destination's ingress each refuse every port."""
    broken = CounterExamples()
    for pods in cluster.classes.of_tenants:
        for direction in _DIRECTIONS:
            for other, ports in cluster.reached(pods, direction):
                if other.role.tenant not in {None, pods.role.tenant}:
                    broken.add(partial(_flow, cluster, pods, other, direction=direction, ports=ports))
    claim = "no pod of one tenant reaches a pod of another; egress and ingress both refuse"
    found = tuple(sides(cluster, cluster.classes.tenants))
    asked = _questions(cluster, cluster.classes.of_tenants)
    evidence = tuple(by_namespace(found))
    return Result(
        "apart",
        claim,
        asked,
        tuple(broken.first),
        evidence=evidence,
        certificates=found,
        number=1,
        more=broken.more,
    )


def closed(cluster: Cluster) -> Result:
    """The closed world: what no edge declares is refused, on the side of each end that stands under policies.

    Asked are tenants' pods, the platform's in its governed namespaces and the entrance. Add-ons in namespaces without
    policies are asked as the other end only: their own side is open.
    """
    declared = _Declared((*edges(cluster.profile), *platform_edges(cluster.profile)))
    governed = governed_pods(cluster)
    asked_of = (*cluster.classes.of_tenants, *governed, *cluster.by_role["ingress", None])
    broken = CounterExamples()
    for party in asked_of:
        for direction in _DIRECTIONS:
            for other, ports in cluster.reached(party, direction):
                if direction == INGRESS and other.identity.is_node:
                    continue  # the node reaches its pods whatever policies say (probes)
                excess = tuple(_undeclared(cluster, declared, (party, other, direction), ports=ports))
                if excess:
                    broken.add(partial(_flow, cluster, party, other, direction=direction, ports=excess))
    asked = len(asked_of) * len(cluster.parties) * len(cluster.ports) * len(_DIRECTIONS)
    claim = "no flow is open that is not declared, of tenants' pods and of the platform's"
    evidence = (
        f"{len(declared.all)} edges are declared",
        f"{len(asked_of)} classes were asked about {len(cluster.parties)} parties",
        f"{len(cluster.ports)} ports stand for all that rules tell apart",
        *_open_namespaces(cluster),
    )
    return Result("closed", claim, asked, tuple(broken.first), evidence=evidence, number=9, more=broken.more)


def mergeable(cluster: Cluster) -> Result:
    """An endpoint whose rules cannot be merged gets no policy at all, or keeps an old one."""
    broken = []
    for pods in cluster.classes.all:
        side = cluster.side(pods, EGRESS)
        if side.error:
            broken.append(CounterExample(str(pods), f"gets no policy: {side.error}", origins(side.rules)))
    claim = "Cilium can compute the policy of every class"
    return Result("mergeable", claim, len(cluster.classes.all), tuple(broken), number=8)


def governed_pods(cluster: Cluster) -> tuple[PodClass, ...]:
    """The platform's own classes in namespaces around which the closed world stands."""
    found = (cluster.classes.by_namespace.get(name, ()) for name in sorted(governed_namespaces(cluster.profile)))
    return tuple(each for pods in found for each in pods if each.role.tenant is None)


class _Declared:
    """Edges by the roles that they join."""

    def __init__(self, all_: tuple[Edge, ...]) -> None:
        self.all = all_
        self._by_roles: dict[tuple[str, str], list[Edge]] = {}
        for edge in all_:
            self._by_roles.setdefault((edge.source, edge.destination), []).append(edge)

    def joining(self, source: Party, destination: Party, direction: str) -> list[Edge]:
        found = self._by_roles.get((source.role.name, destination.role.name), ())
        return [edge for edge in found if direction in edge.sides and edge.joins(source.role, destination.role)]


def _oriented(pods: Party, other: Party, direction: str) -> tuple[Party, Party]:
    return (pods, other) if direction == EGRESS else (other, pods)


def _undeclared(
    cluster: Cluster, declared: _Declared, asked: tuple[Party, Party, str], *, ports: Iterable[Port]
) -> Iterator[Port]:
    party, other, direction = asked
    source, destination = _oriented(party, other, direction)
    joining = declared.joining(source, destination, direction)
    if not joining and destination.role.name != "name":
        yield from ports
        return
    for port in ports:
        if any(edge.allows(port.number, port.protocol) for edge in joining):
            continue
        if destination.role.name == "name" and _is_declared_host(cluster, source, destination, port=port):
            continue
        yield port


def _is_declared_host(cluster: Cluster, source: Party, destination: Party, *, port: Port) -> bool:
    """HTTPS to a name the source may ask for, held to the TLS server names that it may ask for."""
    rules = cluster.alternatives(source, destination.identity, port)
    listed = [entry for rule in rules for entry in rule.server_names or ()]
    if port != TLS or not rules or any(rule.server_names is None for rule in rules):
        return False
    (name,) = destination.identity.names
    may = [entry for entry in listed if may_list(cluster.profile, source.role, entry)]
    return len(may) == len(listed) and (
        may_list(cluster.profile, source.role, NamePattern(name, is_pattern=False))
        or any(entry.matches(name) for entry in may)
    )


def _flow(cluster: Cluster, pods: Party, other: Party, *, direction: str, ports: tuple[Port, ...]) -> CounterExample:
    verdict = cluster.side(pods, direction).verdict(other.identity, ports[0])
    return CounterExample(
        str(pods),
        describe(pods, other, direction=direction, ports=ports),
        origins(verdict.by) or ("no rule enforces this direction",),
        flow_line(*_oriented(pods, other, direction), ports[0], direction=direction),
        "allow",
    )


def _open_namespaces(cluster: Cluster) -> Iterator[str]:
    """Of the platform's namespaces, those without policies: said plainly, since nothing closes their own side."""
    governed = governed_namespaces(cluster.profile)
    rendered = {document.name for document in cluster.tree.of_kind("Namespace")}
    owned = {each.namespace for each in cluster.classes.of_tenants}
    if free := sorted(rendered - governed - owned):
        yield f"no policy stands in {', '.join(free)}: their pods' own sides are open, the other end decides"


def _questions(cluster: Cluster, pods: tuple[PodClass, ...]) -> int:
    """Flows between pods of different tenants: each ordered pair, port and side."""
    sizes: dict[str | None, int] = {}
    for each in pods:
        sizes[each.role.tenant] = sizes.get(each.role.tenant, 0) + 1
    pairs = len(pods) ** 2 - sum(size**2 for size in sizes.values())
    return pairs * len(cluster.ports) * len(_DIRECTIONS)
