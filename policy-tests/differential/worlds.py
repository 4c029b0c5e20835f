"""A whole rendered tree as one policy world, with everyone that the judge asks about, and questions about it.

Lines are those of policy-tests/cases/README.md. Peers are named as the judge names them, so that an answer can be
laid beside its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from isolation.classes.cluster import API_NODE, Cluster, Party
from isolation.classes.edges import DNS
from isolation.classes.pod_classes import CLUSTER, PodClass
from isolation.classes.probes import peer_line, query_line
from isolation.policies.labels import Label

Line = dict[str, Any]

_DUAL_STACK = frozenset({Label("reserved", "world-ipv4"), Label("reserved", "world-ipv6")})


@dataclass(frozen=True)
class Asked:
    """One world line, with those whose own sides are asked and those whom they are asked about."""

    world: Line
    subjects: tuple[Party, ...]
    peers: tuple[Party, ...]


def world_of(cluster: Cluster, *, dual_stack: bool = False) -> Line:
    """The tree's policies and namespaces, and every party, by its name."""
    policies = [one.document.body for one in cluster.parsed]
    namespaces = {document.name: dict(document.labels) for document in cluster.tree.of_kind("Namespace")}
    peers = {str(party): peer_line(party) for party in cluster.parties if _is_dual(party) <= dual_stack}
    config = {"cluster": CLUSTER, "ipv4": True, "ipv6": dual_stack}
    return {
        "type": "world",
        "id": "tree",
        "config": config,
        "namespaces": namespaces,
        "policies": policies,
        "peers": peers,
    }


def asked_of(cluster: Cluster) -> Iterator[Asked]:
    """All that can be asked: of every endpoint about every party. The node is none without the host firewall.

    The node with the API server on it is `host` to the engine, under the same number as the node without it, so that
    it is asked about by itself. In dual stack, addresses outside have other labels and stand in a world of their own.
    """
    endpoints = (party for party in cluster.parties if party.identity.is_endpoint)
    subjects = tuple(party for party in endpoints if not party.identity.is_node)
    single = [party for party in cluster.parties if not _is_dual(party)]
    world = world_of(cluster)
    yield Asked(world, subjects, tuple(party for party in single if party.identity is not API_NODE))
    yield Asked(world, subjects, tuple(party for party in single if party.identity is API_NODE))
    if dual := tuple(party for party in cluster.parties if _is_dual(party)):
        yield Asked(world_of(cluster, dual_stack=True), subjects, dual)


def flows_of(cluster: Cluster) -> Iterator[Line]:
    """Each ordered pair of parties on one port, all ports in turn."""
    parties = [party for party in cluster.parties if not _is_dual(party) and party.identity is not API_NODE]
    for row, source in enumerate(parties):
        for column, destination in enumerate(parties):
            port = cluster.ports[(row * len(parties) + column) % len(cluster.ports)]
            ends = {"from": str(source), "to": str(destination)}
            yield {**ends, "port": port.number, "protocol": port.protocol}


def queries_of(cluster: Cluster) -> Iterator[Line]:
    """Every name in the tree, of one's own and of others, asked by every pod of every resolver."""
    names = sorted({name for party in cluster.outsiders for name in party.identity.names})
    spelled = [*names, *(name.upper() + "." for name in names[:3]), "example.com", "kubernetes.default.svc"]
    for pods in (party for party in cluster.parties if isinstance(party, PodClass)):
        for server in cluster.resolvers:
            for port in DNS:
                for name in spelled:
                    ends = {"from": str(pods), "to": str(server)}
                    yield {**query_line(pods, server, port, name=name), **ends}


def _is_dual(party: Party) -> bool:
    return bool(_DUAL_STACK & party.identity.labels.all)
