"""What pods may do, as facts by which two trees are compared: flows open on both sides, names, server names."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from isolation.classes.cluster import Cluster, Party
from isolation.classes.edges import DNS
from isolation.classes.pod_classes import PodClass
from isolation.policies.parsing import EGRESS, INGRESS
from isolation.policies.ports import Port
from isolation.verdicts.world import Dns

EVERY_PORT = "every port"
ANY_NAME = "any name"


class Kind(StrEnum):
    """What is open."""

    FLOW = "flow"  # packets between pods, entities and addresses
    HOST = "host"  # packets to the addresses of an outside name
    SERVER_NAME = "server name"  # what the TLS proxy lets pass on the way to a host
    NAME = "name"  # a DNS question that is answered


@dataclass(frozen=True, order=True)
class OpenFlow:
    """One thing that is open. port: `443/TCP`, EVERY_PORT, or empty for a name; name: of a NAME or a SERVER_NAME;
    source_tenant, target_tenant: whose pods these are, empty for everyone else."""

    source: str
    target: str
    port: str
    name: str
    kind: Kind
    source_tenant: str = ""
    target_tenant: str = ""

    @property
    def tenant(self) -> str:
        """Whose pods it is about; the source's where two tenants meet."""
        return self.source_tenant or self.target_tenant

    @property
    def is_crossing(self) -> bool:
        """Between pods of two tenants."""
        return "" not in {self.source_tenant, self.target_tenant} and self.source_tenant != self.target_tenant

    def renamed(self, rename: Callable[[str], str]) -> "OpenFlow":
        """The same with every text renamed."""
        tenants = (rename(self.source_tenant), rename(self.target_tenant))
        return OpenFlow(rename(self.source), rename(self.target), self.port, rename(self.name), self.kind, *tenants)

    def __str__(self) -> str:
        if self.kind is Kind.NAME:
            return f"{self.source} asks {self.name}"
        where = f"{self.source} -> {self.target} {'on ' if self.port == EVERY_PORT else ''}{self.port}"
        return f"{where} by server name {self.name}" if self.kind is Kind.SERVER_NAME else where


def open_flows(cluster: Cluster) -> tuple[OpenFlow, ...]:
    """Everything that is open for pods, tenants' and the platform's, in the order of its text.

    Left out: pods whose account is not rendered, and the node, which reaches its own pods under any policy.
    """
    found: set[OpenFlow] = set()
    for pods in (each for each in cluster.classes.all if each.exists):
        for other, ports in cluster.reached(pods, EGRESS):
            at_the_other = cluster.open_ports(cluster.side(other, INGRESS), pods.identity)
            found.update(_flow(cluster, (pods, other), _both(ports, at_the_other)))
        for other, ports in cluster.reached(pods, INGRESS):
            if other.identity.is_node:
                continue
            at_the_other = cluster.open_ports(cluster.side(other, EGRESS), pods.identity)
            found.update(_flow(cluster, (other, pods), _both(ports, at_the_other)))
        found.update(_names(cluster, pods))
    return tuple(sorted(found, key=str))


def _both(ports: tuple[Port, ...], others: tuple[Port, ...]) -> tuple[Port, ...]:
    if len(others) == len(ports) and others == ports:
        return ports
    open_too = set(others)
    return tuple(port for port in ports if port in open_too)


def _flow(cluster: Cluster, flow: tuple[Party, Party], both: tuple[Port, ...]) -> Iterator[OpenFlow]:
    """both: the ports that are open on both sides."""
    _, destination = flow
    if any(isinstance(party, PodClass) and not party.exists and party.role.tenant for party in flow):
        return
    if len(both) == len(cluster.ports):
        yield _open(flow, EVERY_PORT)
    else:
        yield from (_open(flow, str(port)) for port in both)
    if destination.identity.names:
        yield from (each for port in both for each in _server_names(cluster, flow, port))


def _open(flow: tuple[Party, Party], port: str, *, server_name: str = "") -> OpenFlow:
    source, destination = flow
    kind = Kind.SERVER_NAME if server_name else Kind.HOST if destination.identity.names else Kind.FLOW
    tenants = (source.role.tenant or "", destination.role.tenant or "")
    return OpenFlow(str(source), str(destination), port, server_name, kind, *tenants)


def _server_names(cluster: Cluster, flow: tuple[Party, Party], port: Port) -> Iterator[OpenFlow]:
    """The TLS server names that pass to a host. Rules of one port are alternatives: one without a list lifts it."""
    source, destination = flow
    rules = cluster.side(source, EGRESS).verdict(destination.identity, port).by
    if any(rule.server_names is None for rule in rules):
        yield _open(flow, str(port), server_name=ANY_NAME)
        return
    for entry in {entry for rule in rules for entry in rule.server_names or ()}:
        yield _open(flow, str(port), server_name=str(entry))


def _names(cluster: Cluster, pods: PodClass) -> Iterator[OpenFlow]:
    for server in cluster.resolvers:
        for port in DNS:
            found = cluster.side(pods, EGRESS).name_filter(server.identity, port)
            if found.outcome is Dns.UNFILTERED or any(rule.dns is None for rule in found.rules if not found.outcome):
                yield _name(pods, ANY_NAME)
            elif found.outcome is None:
                yield from (_name(pods, str(entry)) for rule in found.rules for entry in rule.dns or ())


def _name(pods: PodClass, name: str) -> OpenFlow:
    return OpenFlow(str(pods), "", "", name, Kind.NAME, pods.role.tenant or "")
