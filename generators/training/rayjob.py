"""Runner `rayjob`: a queue-labelled RayJob on a cluster of its own, gone when the job ends.

KubeRay sees that an entrypoint failed and not its exit code. So every failure is tried again in a new cluster, a
bounded number of times, and each try resumes from the newest checkpoint.
"""

from typing import Any

from generators import naming, restricted, versions
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from generators.training import pod
from generators.training.jobset import queue_labels
from trainer.contract.steps import Step

CONTAINER = "ray-head"
KEEP_SECONDS = 3600
SUBMITTER_CPUS, SUBMITTER_GIB = 1, 1

SUCCESS = "status.jobStatus == SUCCEEDED"
FAILURE = "status.jobDeploymentStatus == Failed"  # after the last try; jobStatus is FAILED after each


def rayjob(step: Step, tenant: Tenant, platform: Platform) -> dict[str, Any]:
    """The RayJob of one attempt's step; suspended until Kueue admits it.

    Ray's ports ask for no credentials: the policies `ranks` and `ray` let only the job's own account and KubeRay in.
    """
    head = {"rayStartParams": {}, "template": head_pod(step, tenant, platform)}
    return {
        "apiVersion": versions.RAY,
        "kind": "RayJob",
        "metadata": {"name": pod.child_name(step), "labels": queue_labels(tenant)},
        "spec": {
            "suspend": True,
            "entrypoint": " ".join(step.command),
            "submissionMode": "K8sJobMode",
            "submitterPodTemplate": submitter_pod(tenant, platform),
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": KEEP_SECONDS,
            "backoffLimit": step.retries,
            "rayClusterSpec": {"rayVersion": versions.RAY_RELEASE, "headGroupSpec": head},
        },
    }


def head_pod(step: Step, tenant: Tenant, platform: Platform) -> dict[str, Any]:
    """The one rank. It leaves the submitter's share of the cores and memory that come with its GPU."""
    template = pod.pod(step, tenant, platform, name=CONTAINER)
    flavor = platform.gpu_flavors[tenant.training.gpus.flavor]
    left = restricted.resources(
        str(flavor.cpus_per_gpu - SUBMITTER_CPUS), f"{flavor.host_memory_gib_per_gpu - SUBMITTER_GIB}Gi", gpus=1
    )
    template["spec"]["containers"][0]["resources"] = left
    return template


def submitter_pod(tenant: Tenant, platform: Platform) -> dict[str, Any]:
    """KubeRay's own default has no security context, which `restricted` refuses; it fills in the command."""
    temporary, mount = restricted.scratch("tmp", "/tmp", size="1Gi")  # noqa: S108 - inside the container
    container = {
        "name": "ray-job-submitter",
        "image": platform.image("trainer"),
        "resources": restricted.resources(str(SUBMITTER_CPUS), f"{SUBMITTER_GIB}Gi"),
        "securityContext": restricted.CONTAINER_SECURITY,
        "volumeMounts": [mount],
    }
    spec = {**pod.identity(tenant), "containers": [container], "volumes": [temporary]}
    return {"metadata": {"labels": naming.labels(tenant.id)}, "spec": spec}
