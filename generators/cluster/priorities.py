"""Priorities: of workloads in Kueue's queues, and of pods on nodes."""

from typing import Any

from generators import naming, versions
from generators.inputs.platform import Platform
from generators.manifest import Construct, Place, Wave, manifest

# Name -> value and what it is for. Kueue compares within one tenant's queue only, so no tenant outranks another.
WORKLOADS = {
    naming.FINETUNE: (1000, "A job that a caller waits for."),
    naming.SEARCH: (500, "A trial of a search: it may be suspended and repeated."),
    naming.DRIFT: (100, "A scheduled look at a model: it takes what is idle."),
}


class PlatformPriorities(Construct):
    """WorkloadPriorityClasses and PriorityClasses. None is the cluster's default."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:  # noqa: ARG002
        super().__init__(scope, construct_id)
        place = Place("foundation", None, "platform.yaml", Wave.ACCESS)
        for name, (value, description) in WORKLOADS.items():
            manifest(self, workload_priority(name, value, description), at=place)
        for body in pod_priorities():
            manifest(self, body, at=place)


def workload_priority(name: str, value: int, description: str) -> dict[str, Any]:
    return {
        "apiVersion": versions.KUEUE,
        "kind": "WorkloadPriorityClass",
        "metadata": {"name": name, "labels": dict(naming.MANAGED_BY)},
        "value": value,
        "description": description,
    }


def pod_priorities() -> list[dict[str, Any]]:
    """Our services evict others; model servers only wait less.

    kube-scheduler knows no tenants: a model server that evicts could end another tenant's training.
    """
    return [
        _pod_priority(naming.SERVICES_PRIORITY, 1_000_000, preemption="PreemptLowerPriority"),
        _pod_priority(naming.SERVING_PRIORITY, 100_000, preemption="Never"),
    ]


def _pod_priority(name: str, value: int, *, preemption: str) -> dict[str, Any]:
    return {
        "apiVersion": versions.SCHEDULING,
        "kind": "PriorityClass",
        "metadata": {"name": name, "labels": dict(naming.MANAGED_BY)},
        "value": value,
        "globalDefault": False,
        "preemptionPolicy": preemption,
    }
