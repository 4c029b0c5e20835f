"""The object store of the cluster: SeaweedFS' master, volumes and filer in one process, behind the tenants' gateways.

One process on one disk: enough for a cluster without another store, and no match for a store of its own; production
names one (`storage.mode: s3`).
"""

from typing import Any

from generators import hosts, naming, restricted
from generators.foundation.storage import FILER_PORT, MASTER_PORT, VOLUME_PORT
from generators.inputs.platform import Platform
from generators.manifest import Construct, Place, Wave, manifest

NAME = "filer"
DISK = "500Gi"
_GRPC = 10_000  # above each HTTP port
_SELECTOR = {"app.kubernetes.io/name": NAME}


class PlatformObjectStore(Construct):
    """Service and StatefulSet `filer`; nothing with storage outside the cluster."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        if platform.storage.mode == "s3":
            return
        place = Place("foundation", naming.STORAGE_NAMESPACE, "platform.yaml storage", Wave.SERVICE)
        manifest(self, service(), at=place)
        manifest(self, stateful_set(platform), at=place)


def service() -> dict[str, Any]:
    """Headless: the name leads to the pod, which the master also announces its volumes by. It asks for itself first."""
    numbers = {"filer": FILER_PORT, "volume": VOLUME_PORT, "master": MASTER_PORT}
    ports = [
        {"name": f"{name}{suffix}", "port": number + above, "protocol": "TCP"}
        for name, number in numbers.items()
        for suffix, above in (("", 0), ("-grpc", _GRPC))
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "labels": dict(naming.MANAGED_BY)},
        "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": dict(_SELECTOR), "ports": ports},
    }


def stateful_set(platform: Platform) -> dict[str, Any]:
    """Its disk outlives it, and its own name, which the master remembers, does not change with the pod's address."""
    temporary, mount = restricted.scratch("tmp", "/tmp", size="1Gi")  # noqa: S108 - inside the container
    asked = {"httpGet": {"path": "/healthz", "port": "filer"}, "timeoutSeconds": 5}
    container = {
        "name": NAME,
        "image": platform.image("seaweedfs"),
        "command": command(),
        "ports": [{"name": "filer", "containerPort": FILER_PORT, "protocol": "TCP"}],
        "startupProbe": {**asked, "periodSeconds": 5, "failureThreshold": 60},
        "readinessProbe": {**asked, "periodSeconds": 5},
        "livenessProbe": {**asked, "periodSeconds": 20},
        "resources": restricted.resources("2", "4Gi"),
        "securityContext": restricted.CONTAINER_SECURITY,
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, mount],
    }
    pod = {
        "serviceAccountName": NAME,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": naming.SERVICES_PRIORITY,
        "terminationGracePeriodSeconds": 60,
        "dnsConfig": restricted.DNS_CONFIG,
        "securityContext": restricted.POD_SECURITY,
        "containers": [container],
        "volumes": [temporary],
    }
    disk = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": DISK}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": NAME, "labels": dict(naming.MANAGED_BY)},
        "spec": {
            "serviceName": NAME,
            "replicas": 1,
            "selector": {"matchLabels": dict(_SELECTOR)},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "template": {"metadata": {"labels": {**naming.MANAGED_BY, **_SELECTOR}}, "spec": pod},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": disk}],
        },
    }


def command() -> list[str]:
    """`weed server`; its S3 port stays closed, since every bucket has a gateway of its own."""
    return [
        "weed",
        "-logtostderr",
        "server",
        "-dir=/data",
        f"-ip={hosts.FILER}",
        "-ip.bind=0.0.0.0",
        "-filer",
        "-filer.disableDirListing",
        f"-filer.port={FILER_PORT}",
        f"-volume.port={VOLUME_PORT}",
        f"-master.port={MASTER_PORT}",
        "-volume.max=0",  # as many as the disk holds
        "-master.volumeSizeLimitMB=1024",
        "-master.telemetry=false",
    ]
