"""Who may reach whom: the judge's own statement, beside which every flow is a fault.

An edge joins roles. Roles of tenants meet within one tenant only; training ranks within one slot only. Edges among the
platform's own pods stand in platform_edges.py.
"""

from dataclasses import dataclass

from isolation.classes.profile import Profile
from isolation.classes.roles import Role
from isolation.policies.parsing import EGRESS, INGRESS
from isolation.policies.ports import Port

S3_PORT = 8333
STATUS_PORT = 8081
METRICS_PORT = 9464
MODEL_PORT = 8000
MESH_CONTROL_PORT, MESH_METRICS_PORT = 15012, 15020  # of istiod; of a sidecar, which shows its server's metrics
RAY_PORT = 8265  # of a Ray head, to which the operator submits the job
FILER_PORTS = (8080, 8888, 18080, 18888, 19333)  # volumes, filer, master: one program under account `filer`
DNS = (Port(53, "UDP"), Port(53, "TCP"))
TLS = Port(443, "TCP")

ANY_PORT = None
DATA_ROLES = ("step", "trainer", "model")  # accounts that touch a tenant's data
API_SERVERS = ("kube-apiserver", "api-node")  # a node of its own, or the pod's own node
HOSTS = ("host", "api-node")
BOTH_SIDES = frozenset({EGRESS, INGRESS})


@dataclass(frozen=True)
class Edge:
    """A flow that must work, both at its source and at its destination. port None: every port and protocol.

    is_optional: it may be open, for tenants whose runner needs it. sides: one only, where the rule that opens it names
    a namespace, so that adding a tenant changes no object of the platform, and the other side refuses.
    """

    source: str
    destination: str
    port: int | None
    protocol: str = "TCP"
    is_optional: bool = False
    sides: frozenset[str] = BOTH_SIDES

    def joins(self, source: Role, destination: Role) -> bool:
        if (source.name, destination.name) != (self.source, self.destination):
            return False
        if source.tenant is not None and destination.tenant is not None and source.tenant != destination.tenant:
            return False
        return source.name != "trainer" or destination.name != "trainer" or source.slot == destination.slot

    def allows(self, number: int, protocol: str) -> bool:
        return self.port is ANY_PORT or (self.port, self.protocol) == (number, protocol)


def edges(profile: Profile) -> tuple[Edge, ...]:
    """The declared edges of tenants' pods in this cluster."""
    askers = (*DATA_ROLES, "gateway") if profile.storage_mode == "inCluster" else DATA_ROLES
    made = [Edge(role, resolver, port.number, port.protocol) for role in askers for resolver, port in asked(profile)]
    made += [Edge(role, server, profile.api_port) for role in ("executor", "step") for server in API_SERVERS]
    made += [Edge(role, "watcher", STATUS_PORT) for role in ("step", "trainer")]
    made += [Edge("prometheus", role, METRICS_PORT) for role in ("step", "trainer")]
    made += _requests(profile)
    made += [Edge("trainer", "trainer", ANY_PORT)]
    made += [Edge("ray-operator", role, RAY_PORT, is_optional=True) for role in ("trainer", "model")]
    made += [Edge("model", "model", ANY_PORT, is_optional=True)]  # a Ray cluster, of one tenant
    made += [Edge("prometheus", "model", METRICS_PORT, is_optional=True)]  # of Ray itself
    if profile.storage_mode == "inCluster":
        made += [Edge(role, "gateway", S3_PORT) for role in (*DATA_ROLES, "ingest", "promoter")]
        made += [Edge(role, "models-gateway", S3_PORT) for role in DATA_ROLES]
        made += [Edge("gateway", "filer", port) for port in FILER_PORTS]
    return tuple(made)


def asked(profile: Profile) -> list[tuple[str, Port]]:
    """Whom pods ask for names, by role and port: the resolver's pods, or the cache on their own node."""
    resolvers = ("resolver",) if profile.dns_mode == "pods" else HOSTS
    return [(resolver, port) for resolver in resolvers for port in DNS]


def _requests(profile: Profile) -> list[Edge]:
    """Who asks model servers, and who reads their metrics; in a mesh their sidecars ask the control plane."""
    if profile.mesh is None:
        return [
            *(Edge(role, "model", MODEL_PORT) for role in ("prometheus", "router", "ingress")),
            Edge(
                "prometheus", "model", METRICS_PORT, sides=frozenset({EGRESS})
            ),  # a model lets it in where it is Ray's
        ]
    return [
        *(Edge(role, "model", MODEL_PORT) for role in ("mesh-gateway", "router")),
        Edge("prometheus", "model", MESH_METRICS_PORT),
        Edge("model", "mesh-control", MESH_CONTROL_PORT),
    ]
