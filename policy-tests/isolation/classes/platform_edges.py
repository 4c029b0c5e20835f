"""Who of the platform may reach whom of the platform: the judge's own statement for the closed world (invariant 9).

Where the other end is an add-on's (a namespace without policies), only the governed side is held to the edge; the
other stands open.
"""

from collections.abc import Iterator

from isolation.classes.edges import (
    ANY_PORT,
    API_SERVERS,
    FILER_PORTS,
    MESH_CONTROL_PORT,
    METRICS_PORT,
    S3_PORT,
    Edge,
    asked,
)
from isolation.classes.profile import Profile
from isolation.policies.parsing import EGRESS, INGRESS

HTTP_PORT = 8080  # of our services
STORE_PORT, BROKER_PORT = 5432, 9092
BROKER_CONTROL_PORTS = (9090, 9091, 8443)  # of a Kafka node: controllers, replication, its agent
REPLICATION_PORT = 9091
PROMETHEUS_PORT = 9090
GATEWAY_PORTS = (80, 443)  # of the mesh's entrance

SERVICES = ("dispatcher", "ingest", "portal", "promoter", "router", "watcher", "webhooks")
STORE_CLIENTS = ("dispatcher", "ingest", "promoter", "watcher", "webhooks")
PUBLIC = ("ingest", "portal", "router")
BUCKET_CLIENTS = ("ingest", "promoter")
OUTSIDE = ("world", "name", "metadata", "kube-apiserver")  # roles of addresses that are no pod and no node
_IN, _OUT = frozenset({INGRESS}), frozenset({EGRESS})

_SCRAPED = {
    "gpu-exporter": 9400,
    "queue-controller": 8443,
    "rollouts": 8090,
    "workflow-controller": 9090,
} | dict.fromkeys(SERVICES, METRICS_PORT)
_ASKS_PROMETHEUS = ("autoscaler", "grafana", "metrics-adapter", "rollouts")
_ASKS_NAMES = (*SERVICES, "broker", "broker-entities", "grafana")
_ASKS_API_SERVER = (*SERVICES, "broker", "broker-entities", "grafana", "prometheus", "prometheus-operator")


def platform_edges(profile: Profile) -> tuple[Edge, ...]:
    """The declared edges among the platform's pods in this cluster, the entrance and the world."""
    return tuple(_edges(profile))


def _edges(profile: Profile) -> Iterator[Edge]:
    for role in _ASKS_NAMES:
        yield from (Edge(role, server, port.number, port.protocol) for server, port in asked(profile))
    for role in (*_ASKS_API_SERVER, "workflow-controller"):
        yield from (Edge(role, server, profile.api_port) for server in API_SERVERS)
    yield from (Edge("prometheus", role, port) for role, port in _SCRAPED.items())
    yield from (Edge(role, "prometheus", PROMETHEUS_PORT) for role in _ASKS_PROMETHEUS)
    yield from (Edge(role, "database", STORE_PORT) for role in STORE_CLIENTS)
    yield Edge("database", "database", ANY_PORT)
    yield from (Edge(role, "ingest", HTTP_PORT) for role in ("portal", "router"))
    yield from _broker()
    yield from _storage(profile)
    yield from _entrance(profile)


def _broker() -> Iterator[Edge]:
    yield from (Edge(role, "broker", BROKER_PORT) for role in ("dispatcher", "ingest"))
    yield Edge("broker", "broker", ANY_PORT)
    yield Edge("broker-entities", "broker", REPLICATION_PORT)
    yield from (Edge("broker-operator", "broker", port) for port in BROKER_CONTROL_PORTS)


def _storage(profile: Profile) -> Iterator[Edge]:
    """The filer takes any pod of its namespace and the clients dial any: the gateways there are one for each tenant."""
    if profile.storage_mode != "inCluster":
        return
    for role in ("filer", "models-gateway"):
        yield from (Edge(role, server, port.number, port.protocol) for server, port in asked(profile))
    yield Edge("filer", "filer", ANY_PORT, is_optional=True, sides=_OUT)
    for port in FILER_PORTS:
        yield Edge("models-gateway", "filer", port)
        yield Edge("filer", "filer", port)
        yield Edge("storage-other", "filer", port, is_optional=True, sides=_IN)
    for client in BUCKET_CLIENTS:
        for role in ("filer", "models-gateway", "storage-other"):
            yield Edge(client, role, S3_PORT, is_optional=True, sides=_OUT)


def _entrance(profile: Profile) -> Iterator[Edge]:
    """The world and the router to the entrance, the entrance to what is public."""
    if profile.mesh is None:
        yield Edge("world", "ingress", ANY_PORT, sides=_IN)
        yield from (Edge(role, "ingress", ANY_PORT, is_optional=True, sides=_IN) for role in OUTSIDE)
        yield Edge("router", "ingress", ANY_PORT)
        yield from (Edge("ingress", role, HTTP_PORT) for role in PUBLIC)
        return
    for port in GATEWAY_PORTS:
        yield Edge("world", "mesh-gateway", port, sides=_IN)
        yield from (Edge(role, "mesh-gateway", port, is_optional=True, sides=_IN) for role in OUTSIDE)
        yield Edge("router", "mesh-gateway", port)
    yield from (Edge("mesh-gateway", role, HTTP_PORT) for role in PUBLIC)
    yield from (Edge("mesh-gateway", server, port.number, port.protocol) for server, port in asked(profile))
    yield from (Edge(role, "mesh-control", MESH_CONTROL_PORT) for role in ("mesh-gateway", "router"))
    # Cilium's own entrance stands there unused, and what it might open the other side refuses.
    yield from (Edge(role, "ingress", ANY_PORT, is_optional=True, sides=_IN) for role in (*OUTSIDE, "router"))
    yield from (Edge("ingress", role, HTTP_PORT, is_optional=True, sides=_OUT) for role in PUBLIC)
