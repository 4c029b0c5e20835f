"""Quota of both namespaces. GPUs of the training namespace are Kueue's (kueue.py), never a ResourceQuota's too (D4)."""

from typing import Any

from generators import naming
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from generators.manifest import Construct, Place, Wave, manifest
from generators.serving.ray import HEAD_CPUS, HEAD_MEMORY_GIB

GPU = "nvidia.com/gpu"
# What a container gets that names nothing; ours name all they need.
_DEFAULT = {"cpu": "1", "memory": "2Gi"}
_DEFAULT_REQUEST = {"cpu": "250m", "memory": "512Mi"}
_CPUS, _MEMORY_GIB = 8, 32  # of a serving namespace beside its GPUs: proxies, CPU models, a canary's start


class TrainingQuota(Construct):
    """ResourceQuota of `<tenant>-train`: numbers of objects, and none of pods, jobs or workflows; and its LimitRange.

    With `training.resize` that bounds what memory may be raised to; admission lets it grow alone.
    """

    def __init__(self, scope: Construct, construct_id: str, *, tenant: Tenant, platform: Platform) -> None:  # noqa: ARG002
        super().__init__(scope, construct_id)
        train = naming.training_namespace(tenant.id)
        place = Place("foundation", train, tenant.key("limits"), Wave.ACCESS)
        manifest(self, resource_quota(tenant.id, "training", object_limits()), at=place)
        key = "training.resize" if tenant.training.resize else "limits"
        place = Place("foundation", train, tenant.key(key), Wave.ACCESS)
        manifest(self, limit_range(tenant.id, "training", training_bounds(tenant)), at=place)


class ServingQuota(Construct):
    """ResourceQuota and LimitRange of `<tenant>-serve`."""

    def __init__(self, scope: Construct, construct_id: str, *, tenant: Tenant, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        place = Place("foundation", naming.serving_namespace(tenant.id), tenant.key("serving.gpus"), Wave.ACCESS)
        manifest(self, resource_quota(tenant.id, "serving", hard_limits(tenant, platform)), at=place)
        manifest(self, limit_range(tenant.id, "serving", container_bounds(tenant, platform)), at=place)


def object_limits() -> dict[str, str]:
    """Numbers of objects that bound etcd; a JobSet makes one headless Service for its ranks."""
    return {
        "count/configmaps": "50",
        "count/persistentvolumeclaims": "0",
        "count/secrets": "20",
        "count/services": "200",
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }


def hard_limits(tenant: Tenant, platform: Platform) -> dict[str, str]:
    """Upper bounds that Kubernetes itself enforces; an extended resource knows only the `requests.` form.

    A canary whose peak GPUs are above serving.gpus was refused when the inputs were read.
    """
    gpus, flavor = tenant.serving.gpus, platform.gpu_flavors[tenant.training.gpus.flavor]
    heads = sum(2 for record in tenant.models.values() if record.serving.runtime == "ray")  # old and new cluster
    cpus = str(_CPUS + heads * HEAD_CPUS + gpus * flavor.cpus_per_gpu)
    memory = f"{_MEMORY_GIB + heads * HEAD_MEMORY_GIB + gpus * flavor.host_memory_gib_per_gpu}Gi"
    return {
        **object_limits(),
        "count/jobs.batch": "10",
        "limits.cpu": cpus,
        "limits.memory": memory,
        "pods": "100",
        "requests.cpu": cpus,
        "requests.memory": memory,
        f"requests.{GPU}": str(gpus),
        "requests.storage": "0",
    }


def resource_quota(tenant: str, name: str, hard: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": name, "labels": naming.labels(tenant)},
        "spec": {"hard": hard},
    }


def container_bounds(tenant: Tenant, platform: Platform) -> dict[str, dict[str, str]]:
    """What a serving container gets that names no resources, and the most that one may name: the whole quota.

    GPUs have a default of their own: without it the most would be every container's default.
    """
    hard = hard_limits(tenant, platform)
    return {
        "default": {**_DEFAULT, GPU: "0"},
        "defaultRequest": {**_DEFAULT_REQUEST, GPU: "0"},
        "max": {"cpu": hard["limits.cpu"], "memory": hard["limits.memory"], GPU: hard[f"requests.{GPU}"]},
    }


def training_bounds(tenant: Tenant) -> dict[str, dict[str, str]]:
    """What a training container gets that names no resources, and where they can be resized the most memory of one.

    No word of GPUs, neither a default nor a most: those are Kueue's alone (D4).
    """
    bounds = {"default": dict(_DEFAULT), "defaultRequest": dict(_DEFAULT_REQUEST)}
    resize = tenant.training.resize
    return {**bounds, "max": {"memory": f"{resize.most_memory_gib}Gi"}} if resize else bounds


def limit_range(tenant: str, name: str, bounds: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Bounds of each container of a namespace."""
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": name, "labels": naming.labels(tenant)},
        "spec": {"limits": [{"type": "Container", **bounds}]},
    }
