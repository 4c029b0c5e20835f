"""Runner `rayjob`: a queue-labelled RayJob on a cluster of its own, gone when the job ends.

KubeRay sees that an entrypoint failed and not its exit code. So every failure is tried again in a new cluster, a
bounded number of times, and each try resumes from the newest checkpoint.
"""

from typing import Any

from generators import versions
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from generators.training import pod
from generators.training.jobset import queue_labels
from trainer.contract.steps import Step

CONTAINER = "ray-head"
RAY_VERSION = "2.49.0"  # of the trainer image
KEEP_SECONDS = 3600

SUCCESS = "status.jobStatus == SUCCEEDED"
FAILURE = "status.jobDeploymentStatus == Failed"  # after the last try; jobStatus is FAILED after each


def rayjob(step: Step, tenant: Tenant, platform: Platform) -> dict[str, Any]:
    """The RayJob of one attempt's step; suspended until Kueue admits it.

    The submitter is a sidecar of the head: no other pod has to reach Ray's ports, which ask for no credentials.
    """
    template = pod.pod(step, tenant, platform, name=CONTAINER)
    head = {"rayStartParams": {"dashboard-host": "127.0.0.1"}, "template": template}
    return {
        "apiVersion": versions.RAY,
        "kind": "RayJob",
        "metadata": {"name": pod.child_name(step), "labels": queue_labels(tenant)},
        "spec": {
            "suspend": True,
            "entrypoint": " ".join(step.command),
            "submissionMode": "SidecarMode",
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": KEEP_SECONDS,
            "backoffLimit": step.retries,
            "rayClusterSpec": {"rayVersion": RAY_VERSION, "headGroupSpec": head},
        },
    }
