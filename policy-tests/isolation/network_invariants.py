"""The invariants of the network, each over every class of every tenant.

apart (1), names (2), metadata (4), closed (9); liveness (7) has a module of its own. Each returns a
Result; none stops at the first fault.
"""

from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from isolation.buckets import is_outside_host, may_list, needed_names
from isolation.classes import PodClass
from isolation.cluster import METADATA, Cluster, Party
from isolation.edges import DNS, TLS, Edge, edges
from isolation.entities import Fqdn
from isolation.identities import outside
from isolation.names import NamePattern, normal
from isolation.policies import EGRESS, INGRESS, Rule
from isolation.ports import Port
from isolation.results import CounterExample, Result, origins
from isolation.spelled import SpelledNames
from isolation.verdicts import Dns, NameFilter

# One address of each private range, to which an allowed outside name might be made to lead.
PRIVATE = ("10.255.1.1", "172.31.1.1", "192.168.254.1", "100.127.1.1", "fc00:1::1", "fe80::1")
_DIRECTIONS = (EGRESS, INGRESS)


def apart(cluster: Cluster) -> Result:
    """Two locks: the source's egress and the destination's ingress each refuse every port."""
    broken = []
    for pods in cluster.classes.of_tenants:
        for direction in _DIRECTIONS:
            for other, ports in cluster.reached(pods, direction):
                if other.role.tenant not in {None, pods.role.tenant}:
                    broken.append(_flow(cluster, pods, other, direction=direction, ports=ports))
    claim = "no pod of one tenant reaches a pod of another; egress and ingress both refuse"
    return Result("apart", claim, _questions(cluster, cluster.classes.of_tenants), tuple(broken))


def closed(cluster: Cluster) -> Result:
    """The closed world around tenants: what no edge declares is refused, on the tenant's side and on the other's.

    The other sides asked are the platform's own pods and the gateway, which stands before every tenant's models.
    """
    declared = edges(cluster.profile)
    platform = [each for each in cluster.classes.all if each.exists and each.role.tenant is None]
    broken = []
    for party in (*cluster.classes.of_tenants, *platform, *cluster.by_role["ingress", None]):
        for direction in _DIRECTIONS:
            for other, ports in cluster.reached(party, direction):
                if party.role.tenant is None and other.role.tenant is None:
                    continue
                if direction == INGRESS and other.identity.is_node:
                    continue  # the node reaches its pods whatever policies say (probes)
                excess = tuple(_undeclared(cluster, declared, _oriented(party, other, direction), ports))
                if excess:
                    broken.append(_flow(cluster, party, other, direction=direction, ports=excess))
    asked = len(cluster.classes.of_tenants) * (len(cluster.parties) + len(platform) + 1) * len(cluster.ports) * 2
    claim = "no flow between a tenant's pod and anyone is open that is not declared"
    return Result("closed", claim, asked, tuple(broken))


def names(cluster: Cluster) -> Result:
    """DNS: every list holds the role's own names only, and every spelling of a foreign name is refused."""
    spelled = SpelledNames(cluster.tree, cluster.profile, cluster.classes.tenants)
    total = sum(spelled.count.values())
    asked, broken = 0, list[CounterExample]()
    for pods in cluster.classes.of_tenants:
        for server, port in ((server, port) for server in cluster.resolvers for port in DNS):
            asked += total - spelled.count[pods.role.tenant or ""]
            broken += _open_names(cluster, pods, cluster.side(pods, EGRESS).name_filter(server.identity, port), spelled)
    claim = "no name of another tenant's bucket or services is answered"
    return Result("names", claim, asked, tuple(dict.fromkeys(broken)), row="H13")


def metadata(cluster: Cluster) -> Result:
    """Rebinding: an allowed name that is made to lead to machine credentials or private addresses opens nothing."""
    exempt = (*cluster.profile.private_addresses, *cluster.profile.api_addresses)
    asked, broken = 0, []
    for pods in cluster.classes.of_tenants:
        side = cluster.side(pods, EGRESS)
        allowed = frozenset(_fqdn_names(side.rules))
        private = PRIVATE if any(is_outside_host(name) for name in allowed - _store_names(cluster, pods)) else ()
        for address in map(ip_address, (*METADATA, *private)):
            if any(address in network for network in exempt):
                continue
            target = outside(f"{address} as {', '.join(sorted(allowed)) or 'no name'}", address=address, names=allowed)
            asked += len(cluster.ports)
            if ports := cluster.open_ports(side, target):
                by = origins(side.verdict(target, ports[0]).by)
                broken.append(CounterExample(str(pods), f"reaches {target.name} on {_shown(ports)}", by))
    claim = "no allowed name leads to machine credentials or private addresses"
    return Result("metadata", claim, asked, tuple(broken), row="H14")


def _oriented(pods: Party, other: Party, direction: str) -> tuple[Party, Party]:
    return (pods, other) if direction == EGRESS else (other, pods)


def _undeclared(
    cluster: Cluster, declared: Iterable[Edge], flow: tuple[Party, Party], ports: Iterable[Port]
) -> Iterator[Port]:
    source, destination = flow
    joining = [edge for edge in declared if edge.joins(source.role, destination.role)]
    for port in ports:
        if any(edge.allows(port.number, port.protocol) for edge in joining):
            continue
        if destination.role.name == "name" and _is_declared_host(cluster, source, destination, port):
            continue
        yield port


def _is_declared_host(cluster: Cluster, source: Party, destination: Party, port: Port) -> bool:
    """HTTPS to a name the source may ask for, held to the TLS server names that it may ask for."""
    rules = cluster.side(source, EGRESS).verdict(destination.identity, port).by
    listed = [entry for rule in rules for entry in rule.server_names or ()]
    if port != TLS or any(rule.server_names is None for rule in rules):
        return False
    (name,) = destination.identity.names
    entries = (NamePattern(name, is_pattern=False), *listed)
    return all(may_list(cluster.profile, source.role, entry) for entry in entries)


def _open_names(cluster: Cluster, pods: PodClass, found: NameFilter, spelled: SpelledNames) -> Iterator[CounterExample]:
    if found.outcome is Dns.DROPPED:
        return
    if found.outcome is Dns.UNFILTERED or any(rule.dns is None for rule in found.rules):
        yield CounterExample(str(pods), "asks for any name; no filter is on the path", origins(found.rules))
        return
    own = {normal(name) for name in needed_names(cluster.profile, pods.role)}
    entries = [(rule, entry) for rule in found.rules for entry in rule.dns or ()]
    for rule, entry in entries:
        for key in (key for key in spelled.matching(entry) if key not in own):
            for tenant, sent in spelled.owners[key].items():
                if tenant != pods.role.tenant:
                    yield CounterExample(str(pods), f"is answered {sent}, a name of {tenant}", origins([rule]))
    for rule, entry in entries:
        if not may_list(cluster.profile, pods.role, entry):
            yield CounterExample(str(pods), f"may ask for {entry}, which is not its own", origins([rule]))


def _fqdn_names(rules: Iterable[Rule]) -> Iterator[str]:
    """Exact names to whose addresses a rule opens."""
    for peer in (peer for rule in rules for peer in rule.peers or ()):
        if isinstance(peer, Fqdn):
            yield peer.pattern.text


def _store_names(cluster: Cluster, pods: PodClass) -> frozenset[str]:
    return frozenset(needed_names(cluster.profile, pods.role))


def _flow(cluster: Cluster, pods: Party, other: Party, *, direction: str, ports: tuple[Port, ...]) -> CounterExample:
    source, destination = _oriented(pods, other, direction)
    verdict = cluster.side(pods, direction).verdict(other.identity, ports[0])
    what = f"{source} -> {destination} on {_shown(ports)} is open in {direction} of {pods}"
    return CounterExample(str(pods), what, origins(verdict.by) or ("no rule enforces this direction",))


def _shown(ports: tuple[Port, ...]) -> str:
    return ", ".join(map(str, ports[:3])) + (f" and {len(ports) - 3} more" if len(ports) > 3 else "")


def _questions(cluster: Cluster, pods: tuple[PodClass, ...]) -> int:
    """Flows between pods of different tenants: each ordered pair, port and side."""
    sizes: dict[str | None, int] = {}
    for each in pods:
        sizes[each.role.tenant] = sizes.get(each.role.tenant, 0) + 1
    pairs = len(pods) ** 2 - sum(size**2 for size in sizes.values())
    return pairs * len(cluster.ports) * len(_DIRECTIONS)
