"""Runner `rayjob`: a queue-labelled RayJob on a cluster of its own, gone when the job ends.

KubeRay sees that an entrypoint failed and not its exit code. So every failure is tried again in a new cluster, a
bounded number of times, and each try resumes from the newest checkpoint.
"""

from typing import Any

from app.contract.internal import METRICS_PORT
from generators import naming, restricted, versions
from generators.foundation.network import RAY_PORT
from generators.training import pod
from generators.training.ranks import RUN_SECONDS, Ranks, rendezvous, resources

CONTAINER = "ray-head"
IMAGE = "trainerray"
# KubeRay's own ports, the one by which it finds the job, are left out of the head's Service where a head names any.
DASHBOARD = {"name": "dashboard", "containerPort": RAY_PORT, "protocol": "TCP"}
NO_REPORTS = {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"}
KEEP_SECONDS = 3600
SUBMITTER_CPUS, SUBMITTER_GIB = 1, 1

SUCCESS = "status.jobStatus == SUCCEEDED"
FAILURE = "status.jobDeploymentStatus == Failed"  # after the last try; jobStatus is FAILED after each


def rayjob(ranks: Ranks) -> dict[str, Any]:
    """The RayJob of one step; suspended until Kueue admits it.

    Ray's ports ask for no credentials: the policies `ranks` and `ray` let only the job's own account and KubeRay in.
    """
    start = {"num-gpus": str(ranks.gpus), "metrics-export-port": str(METRICS_PORT)}
    head = {"rayStartParams": start, "template": head_pod(ranks)}
    return {
        "apiVersion": versions.RAY,
        "kind": "RayJob",
        "metadata": {"name": ranks.name, "labels": ranks.labels},
        "spec": {
            "suspend": True,
            "entrypoint": " ".join(ranks.step.command),
            "submissionMode": "K8sJobMode",
            "submitterPodTemplate": submitter_pod(ranks),
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": KEEP_SECONDS,
            "activeDeadlineSeconds": RUN_SECONDS,
            "backoffLimit": ranks.step.retries,
            "rayClusterSpec": {"rayVersion": versions.RAY_RELEASE, "headGroupSpec": head},
        },
    }


def head_pod(ranks: Ranks) -> dict[str, Any]:
    """The pod of all ranks: a recipe of several nodes is refused, because an entrypoint runs on the head alone.

    It leaves the submitter's share of the cores and memory that come with its GPUs.
    """
    template = pod.pod(ranks, name=CONTAINER)
    (container,) = template["spec"]["containers"]
    del container["command"]  # KubeRay's `ray start` comes after it: the step would run to its end before there is Ray
    container["image"] = ranks.platform.image(IMAGE)
    container["ports"].append(DASHBOARD)
    container["resources"] |= resources(ranks, cpus=SUBMITTER_CPUS, memory_gib=SUBMITTER_GIB)
    container["env"] += [*rendezvous(ranks, pod_zero=""), NO_REPORTS]
    return template


def submitter_pod(ranks: Ranks) -> dict[str, Any]:
    """KubeRay's own default has no security context, which `restricted` refuses; it fills in the command.

    The image is the head's: it asks the head by Ray's own command line, of the same release.
    """
    temporary, mount = restricted.scratch("tmp", "/tmp", size="1Gi")  # noqa: S108 - inside the container
    container = {
        "name": "ray-job-submitter",
        "image": ranks.platform.image(IMAGE),
        "env": [{"name": "HOME", "value": mount["mountPath"]}, {"name": "USER", "value": pod.USER_NAME}],
        "resources": restricted.resources(str(SUBMITTER_CPUS), f"{SUBMITTER_GIB}Gi"),
        "securityContext": restricted.CONTAINER_SECURITY,
        "volumeMounts": [mount],
    }
    spec = {**pod.identity(ranks), "containers": [container], "volumes": [temporary]}
    return {"metadata": {"labels": naming.labels(ranks.tenant.id)}, "spec": spec}
