"""What tenants' pods may do, as lines by which two trees are compared: flows open on both sides, and names."""

from collections.abc import Iterator

from isolation.classes import PodClass
from isolation.cluster import Cluster, Party
from isolation.edges import DNS
from isolation.policies import EGRESS, INGRESS
from isolation.ports import Port


def open_flows(cluster: Cluster) -> tuple[str, ...]:
    """`source -> destination port` and `source asks name`, sorted.

    Left out: pods whose account is not rendered, and the node, which reaches its own pods under any policy.
    """
    found: set[str] = set()
    for pods in (each for each in cluster.classes.of_tenants if each.exists):
        for other, ports in cluster.reached(pods, EGRESS):
            found.update(_flow(cluster, (pods, other), ports))
        for other, ports in cluster.reached(pods, INGRESS):
            if other.identity.is_node:
                continue
            found.update(_flow(cluster, (other, pods), ports))
        found.update(_names(cluster, pods))
    return tuple(sorted(found))


def _flow(cluster: Cluster, flow: tuple[Party, Party], ports: tuple[Port, ...]) -> Iterator[str]:
    source, destination = flow
    if any(isinstance(party, PodClass) and not party.exists and party.role.tenant for party in flow):
        return
    verdicts = {port: cluster.world.flow(source.identity, destination.identity, port) for port in ports}
    both = tuple(port for port in ports if verdicts[port].is_allowed)
    if both == cluster.ports:
        yield f"{source} -> {destination} on every port"
    else:
        yield from (f"{source} -> {destination} {port}" for port in both)


def _names(cluster: Cluster, pods: PodClass) -> Iterator[str]:
    for server in cluster.resolvers:
        for rule in (
            rule for port in DNS for rule in cluster.side(pods, EGRESS).name_filter(server.identity, port).rules
        ):
            yield from (f"{pods} asks {entry}" for entry in rule.dns or ())
