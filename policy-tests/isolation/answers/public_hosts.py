"""Host names of the public entrance: from the name to the entrance, its routes, their Services and the pods behind.

A connection ends at the entrance and a new one begins there, so that policies judge two flows: to the entrance, which
is Cilium's identity `ingress` (cilium 1.20, gateway API: the per-node proxy) or the pods of the mesh's gateway, and
from it to the pods. In the cluster too the address of its Service leads there and to no address outside.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from isolation.classes.cluster import Cluster, Party
from isolation.classes.pod_classes import PodClass
from isolation.classes.services import Service, classes_behind, services_of, services_of_route
from isolation.policies.ports import Port


@dataclass(frozen=True)
class Entrance:
    """Who takes the connection, and on which of its ports."""

    party: Party
    port: Port


@dataclass(frozen=True)
class PublicHost:
    """What a host name leads to. pods: classes that may stand behind its routes' Services; ports: of the pods."""

    entrance: Entrance
    pods: tuple[PodClass, ...]
    ports: tuple[Port, ...]


def public_host(cluster: Cluster, name: str, port: Port) -> PublicHost | None:
    """None for a name that no route answers to. port: as it is dialled."""
    services = services_of(cluster.inventory)
    found = services_of_route(cluster.inventory, services, name)
    entrance = _entrance(cluster, services, port)
    if not found or entrance is None:
        return None
    pods = dict.fromkeys(each for service in found for each in classes_behind(cluster, service) if each.exists)
    ports = dict.fromkeys(each for service in found for number in service.ports() for each in service.targets(number))
    return PublicHost(entrance, tuple(pods), tuple(ports))


def _entrance(cluster: Cluster, services: Iterable[Service], port: Port) -> Entrance | None:
    mesh = cluster.profile.mesh
    parties = cluster.by_role.get(("mesh-gateway" if mesh else "ingress", None), ())
    party = next((each for each in parties if not isinstance(each, PodClass) or each.exists), None)
    if party is None:
        return None
    if mesh is None:
        return Entrance(party, port)
    targets = [each for one in services if one.accounts == (mesh.gateway,) for each in one.targets(port.number)]
    return Entrance(party, targets[0] if targets else port)
