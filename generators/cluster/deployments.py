"""The processes of the job path: one Deployment for each service, with what keeps it up and what it is reached by."""

from dataclasses import dataclass
from typing import Any

from app.contract.internal import INGEST_PORT, METRICS_PORT, STATUS_PORT
from generators import mesh, naming, restricted
from generators.cluster import environment as told
from generators.inputs.platform import Platform
from generators.manifest import Construct, Place, Wave, manifest
from generators.naming import SYSTEM_NAMESPACE

PART_OF = {"app.kubernetes.io/part-of": "tenon"}  # by which monitoring finds every service
GRACE_SECONDS = 60  # to answer open requests and to end a round
DRAIN_SECONDS = 5  # until load balancers no longer choose a pod that ends
TOKEN_SECONDS = 3600  # the kubelet renews it before it ends
MIGRATES = "dispatcher"  # service that brings the store's tables to its version before it starts
TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - where every Kubernetes client looks


@dataclass(frozen=True)
class Service:
    """One process. port: of its HTTP server; None for a loop, which only its metrics can be asked of."""

    name: str
    port: int | None = None
    replicas: int = 2
    cpus: str = "500m"
    memory: str = "512Mi"
    image: str = "services"

    @property
    def command(self) -> list[str]:
        """The images hold modules on their path, and no installed program."""
        return ["python", "-m", "tenon" if self.image == "promoter" else "app", self.name]

    @property
    def labels(self) -> dict[str, str]:
        return {"app.kubernetes.io/name": self.name}


SERVICES = (
    Service("ingest", INGEST_PORT, replicas=3, cpus="1", memory="1Gi"),
    Service("router", INGEST_PORT, replicas=3, cpus="1", memory="1Gi"),
    Service("portal", INGEST_PORT),
    Service("watcher", STATUS_PORT),
    Service("dispatcher"),
    Service("webhooks"),
    # renders a clone of the repository and pushes: a second one would only lose every race
    Service("promoter", replicas=1, cpus="2", memory="2Gi", image="promoter"),
)


class PlatformDeployments(Construct):
    """Deployments, Services, PodDisruptionBudgets and the references to their secrets."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        for secret in told.secrets(platform):
            manifest(self, secret, at=Place("foundation", SYSTEM_NAMESPACE, "platform.yaml", Wave.CONFIG))
        place = Place("foundation", SYSTEM_NAMESPACE, "platform.yaml", Wave.SERVICE)
        for service in SERVICES:
            manifest(self, deployment(service, platform), at=place)
            if service.port is not None:
                manifest(self, cluster_service(service), at=place)
            if service.replicas > 1:
                manifest(self, disruption_budget(service), at=place)


def deployment(service: Service, platform: Platform) -> dict[str, Any]:
    """A new pod is ready before an old one goes; the promoter's old one goes first."""
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": service.name, "labels": {**naming.MANAGED_BY, **PART_OF, **service.labels}},
        "spec": {
            "replicas": service.replicas,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": service.labels},
            "strategy": rolling if service.replicas > 1 else {"type": "Recreate"},
            "template": {
                "metadata": {
                    "labels": {**naming.MANAGED_BY, **PART_OF, **service.labels, **_injection(service, platform)}
                },
                "spec": pod(service, platform),
            },
        },
    }


def pod(service: Service, platform: Platform) -> dict[str, Any]:
    """Restricted, spread over zones and nodes where that is possible, with a short-lived token of its own account."""
    volumes, mounts = _volumes(service, platform)
    before = {"initContainers": [_migration(service, platform, mounts)]} if service.name == MIGRATES else {}
    container = {
        "name": service.name,
        "image": platform.image(service.image),
        "command": service.command,
        "env": told.environment(service.name, platform),
        "ports": _ports(service),
        **_probes(service),
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
        "resources": restricted.resources(service.cpus, service.memory),
        "securityContext": restricted.CONTAINER_SECURITY,
        "volumeMounts": mounts,
    }
    return {
        "serviceAccountName": service.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": naming.SERVICES_PRIORITY,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "dnsConfig": restricted.DNS_CONFIG,
        "securityContext": restricted.POD_SECURITY,
        "topologySpreadConstraints": [_spread(service, key) for key in ("zone", "hostname")],
        **before,
        "containers": [container],
        "volumes": volumes,
    }


def _migration(service: Service, platform: Platform, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    """Brings the store's tables to this version; the pods of the version before go on until it is done.

    Two of them at once are harmless: one waits for the other and then finds nothing to do.
    """
    return {
        "name": "migrate",
        "image": platform.image(service.image),
        "command": ["python", "-m", "app", "migrate"],
        "env": told.environment(service.name, platform),
        "resources": restricted.resources(service.cpus, service.memory),
        "securityContext": restricted.CONTAINER_SECURITY,
        "volumeMounts": mounts,
    }


def cluster_service(service: Service) -> dict[str, Any]:
    """The port is the pod's own, because policies see the pod's."""
    port = {"name": "http", "port": service.port, "targetPort": "http", "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service.name, "labels": {**naming.MANAGED_BY, **PART_OF}},
        "spec": {"type": "ClusterIP", "selector": service.labels, "ports": [port]},
    }


def disruption_budget(service: Service) -> dict[str, Any]:
    """One pod at a time; one that is not ready may always go, so that a broken service stops no node from draining."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": service.name, "labels": {**naming.MANAGED_BY, **PART_OF}},
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": service.labels},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _injection(service: Service, platform: Platform) -> dict[str, str]:
    """The router alone calls into the mesh, so it alone has a sidecar."""
    return {"sidecar.istio.io/inject": "true"} if service.name == "router" and mesh.is_used(platform) else {}


def _ports(service: Service) -> list[dict[str, Any]]:
    served = [{"name": "http", "containerPort": service.port, "protocol": "TCP"}] if service.port else []
    return [*served, {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"}]


def _probes(service: Service) -> dict[str, Any]:
    """Whether the process answers, never whether what it depends on does: an outage must not restart everything."""
    path, port = ("/healthz", "http") if service.port else ("/metrics", "metrics")
    asked = {"httpGet": {"path": path, "port": port}, "timeoutSeconds": 5}
    return {
        "startupProbe": {**asked, "periodSeconds": 2, "failureThreshold": 60},
        "readinessProbe": {**asked, "periodSeconds": 5, "failureThreshold": 2},
        "livenessProbe": {**asked, "periodSeconds": 20, "failureThreshold": 3},
    }


def _volumes(service: Service, platform: Platform) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    temporary, mount = restricted.scratch("tmp", "/tmp", size="2Gi")  # noqa: S108 - inside the container
    volumes = [temporary, {"name": "api-token", "projected": {"sources": _token()}}]
    mounts = [mount, {"name": "api-token", "mountPath": TOKEN_FOLDER, "readOnly": True}]
    if service.name in told.WEBHOOK_SIGNERS:
        volumes.append({"name": "webhook-key", "secret": {"secretName": told.WEBHOOK_SECRET}})
        mounts.append({"name": "webhook-key", "mountPath": told.WEBHOOK_FOLDER, "readOnly": True})
    if service.name == "promoter" and told.reads_git_over_https(platform):
        volumes.append({"name": "git", "secret": {"secretName": told.GIT_SECRET}})
        mounts.append({"name": "git", "mountPath": told.GIT_FOLDER, "readOnly": True})
    return volumes, mounts


def _token() -> list[dict[str, Any]]:
    """What a client of the API server looks for; every service reads the tenant directory there."""
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]


def _spread(service: Service, over: str) -> dict[str, Any]:
    key = {"zone": "topology.kubernetes.io/zone", "hostname": "kubernetes.io/hostname"}[over]
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": service.labels},
        "matchLabelKeys": ["pod-template-hash"],
    }
