"""Kueue's side of a tenant: its share of the GPUs and the queue its jobs wait in. Kueue alone governs training GPUs."""

from typing import Any

from generators import naming, versions
from generators.foundation.quota import GPU
from generators.inputs.platform import GpuFlavor, Platform
from generators.inputs.tenant import Tenant
from generators.manifest import Construct, Place, Wave, manifest


class TenantQueue(Construct):
    """ClusterQueue `<tenant>` and the LocalQueue of `<tenant>-train` that leads to it."""

    def __init__(self, scope: Construct, construct_id: str, *, tenant: Tenant, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        source = tenant.key("training.gpus")
        manifest(self, cluster_queue(tenant, platform), at=Place("foundation", None, source, Wave.ACCESS))
        train = naming.training_namespace(tenant.id)
        manifest(self, local_queue(tenant.id), at=Place("foundation", train, source, Wave.ACCESS))


def cluster_queue(tenant: Tenant, platform: Platform) -> dict[str, Any]:
    """Guaranteed and borrowed GPUs, with the node's cores and memory in proportion.

    The namespace selector names the one tenant, so its quota cannot be spent from any other namespace. Idle GPUs go to
    those who borrow least for what they are guaranteed.
    """
    gpus = tenant.training.gpus
    flavor = platform.gpu_flavors[gpus.flavor]
    group = resource_group(
        gpus.flavor, flavor, nominal=gpus.guaranteed, borrowing=gpus.borrow, lending=lent(tenant, platform)
    )
    return {
        "apiVersion": versions.KUEUE,
        "kind": "ClusterQueue",
        "metadata": {"name": tenant.id, "labels": naming.labels(tenant.id)},
        "spec": {
            "cohortName": naming.COHORT,
            "namespaceSelector": {"matchLabels": {naming.TENANT_LABEL: tenant.id, naming.PLANE_LABEL: "train"}},
            "queueingStrategy": "BestEffortFIFO",
            "preemption": {"withinClusterQueue": "LowerPriority", "reclaimWithinCohort": "Any"},
            "fairSharing": {"weight": str(max(gpus.guaranteed, 1))},  # 0 would never be given anything
            "resourceGroups": [group],
        },
    }


def lent(tenant: Tenant, platform: Platform) -> int:
    """GPUs that others may use while they are idle: all, for the owner takes them back.

    None of a flavor whose pods take turns on a GPU: that keeps neither memory nor faults apart.
    """
    gpus = tenant.training.gpus
    return 0 if platform.gpu_flavors[gpus.flavor].sharing else gpus.guaranteed


def resource_group(
    name: str, flavor: GpuFlavor, *, nominal: int, borrowing: int | None = None, lending: int | None = None
) -> dict[str, Any]:
    """One flavor with cores, memory and GPUs. A limit that is None is not written (a Cohort has neither)."""
    each = {"cpu": (flavor.cpus_per_gpu, ""), "memory": (flavor.host_memory_gib_per_gpu, "Gi"), GPU: (1, "")}
    resources = []
    for resource, (amount, unit) in each.items():
        quota = {"name": resource, "nominalQuota": _quantity(nominal * amount, unit)}
        for limit, gpus in (("borrowingLimit", borrowing), ("lendingLimit", lending)):
            if gpus is not None:
                quota[limit] = _quantity(gpus * amount, unit)
        resources.append(quota)
    return {"coveredResources": list(each), "flavors": [{"name": name, "resources": resources}]}


def local_queue(tenant: str) -> dict[str, Any]:
    return {
        "apiVersion": versions.KUEUE,
        "kind": "LocalQueue",
        "metadata": {"name": naming.QUEUE, "labels": naming.labels(tenant)},
        "spec": {"clusterQueue": tenant},
    }


def _quantity(amount: int, unit: str) -> str:
    return f"{amount}{unit}" if amount else "0"
