"""Kueue's cluster side: one ResourceFlavor for each kind of GPU node, and the cohort of all tenants."""

from typing import Any

from generators import naming, restricted, versions
from generators.foundation.kueue import resource_group
from generators.inputs.platform import GpuFlavor, Platform
from generators.manifest import Construct, Place, Wave, manifest


class PlatformQueues(Construct):
    """ResourceFlavors and the Cohort. What a tenant is guaranteed stands in its own ClusterQueue, never here."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        place = Place("foundation", None, "platform.yaml gpuFlavors", Wave.ACCESS)
        for name, flavor in platform.gpu_flavors.items():
            manifest(self, resource_flavor(name, flavor), at=place)
        manifest(self, cohort(platform), at=place)


def resource_flavor(name: str, flavor: GpuFlavor) -> dict[str, Any]:
    """The nodes that carry the GPUs, and the taint that keeps other pods off them; admitted pods tolerate it."""
    return {
        "apiVersion": versions.KUEUE,
        "kind": "ResourceFlavor",
        "metadata": {"name": name, "labels": dict(naming.MANAGED_BY)},
        "spec": {
            "nodeLabels": dict(flavor.node_labels),
            "nodeTaints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}],
            "tolerations": [dict(restricted.GPU_TOLERATION)],
        },
    }


def cohort(platform: Platform) -> dict[str, Any]:
    """Tenants borrow what others leave idle, and the `shared` GPUs that no tenant is guaranteed."""
    shared = {name: flavor for name, flavor in platform.gpu_flavors.items() if flavor.shared}
    groups = [resource_group(name, flavor, nominal=flavor.shared) for name, flavor in shared.items()]
    body: dict[str, Any] = {
        "apiVersion": versions.KUEUE,
        "kind": "Cohort",
        "metadata": {"name": naming.COHORT, "labels": dict(naming.MANAGED_BY)},
        "spec": {},
    }
    if groups:
        covered = groups[0]["coveredResources"]
        flavors = [flavor for group in groups for flavor in group["flavors"]]
        body["spec"]["resourceGroups"] = [{"coveredResources": covered, "flavors": flavors}]
    return body
