"""Runner `jobset`: a queue-labelled JobSet of one rank."""

from typing import Any

from generators import naming, versions
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from generators.training import exits, pod
from trainer.contract.steps import Step

CONTAINER = "trainer"

# JobSet's own summary of its conditions: Argo compares plain fields and cannot search a list.
SUCCESS = "status.terminalState == Completed"
FAILURE = "status.terminalState == Failed"


def jobset(step: Step, tenant: Tenant, platform: Platform) -> dict[str, Any]:
    """The JobSet of one attempt's step; suspended until Kueue admits it."""
    ranks = {"name": "rank", "replicas": 1, "template": job_template(step, tenant, platform, container=CONTAINER)}
    return {
        "apiVersion": versions.JOBSET,
        "kind": "JobSet",
        "metadata": {"name": pod.child_name(step), "labels": queue_labels(tenant)},
        "spec": {
            "suspend": True,
            "network": {"enableDNSHostnames": True},
            "failurePolicy": exits.jobset_failure_policy(step),
            "replicatedJobs": [ranks],
        },
    }


def job_template(step: Step, tenant: Tenant, platform: Platform, *, container: str) -> dict[str, Any]:
    """The Job inside. It never retries by itself: ranks start again together or not at all."""
    spec = {
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": 0,
        "podFailurePolicy": exits.pod_failure_policy(container),
        "template": pod.pod(step, tenant, platform, name=container),
    }
    return {"metadata": {"labels": naming.labels(tenant.id)}, "spec": spec}


def queue_labels(tenant: Tenant) -> dict[str, str]:
    """Of every object that Kueue admits."""
    return {**naming.labels(tenant.id), "kueue.x-k8s.io/queue-name": naming.QUEUE}
