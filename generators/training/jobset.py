"""Runner `jobset`: a queue-labelled JobSet, one Indexed Job with a pod for each node of the recipe."""

from typing import Any

from generators import naming, versions
from generators.training import exits, pod
from generators.training.ranks import RUN_SECONDS, Ranks, rendezvous

CONTAINER = "trainer"
RANK = "rank"  # name of the replicated job, and so part of every pod's host name

# JobSet's own summary of its conditions: Argo compares plain fields and cannot search a list.
SUCCESS = "status.terminalState == Completed"
FAILURE = "status.terminalState == Failed"


def jobset(ranks: Ranks) -> dict[str, Any]:
    """The JobSet of one step; suspended until Kueue admits all of its pods at once."""
    job = job_template(ranks, container=CONTAINER)
    found = rendezvous(ranks, pod_zero=f"{ranks.name}-{RANK}-0-0.{ranks.name}")
    job["spec"]["template"]["spec"]["containers"][0]["env"] += found
    return {
        "apiVersion": versions.JOBSET,
        "kind": "JobSet",
        "metadata": {"name": ranks.name, "labels": ranks.labels},
        "spec": {
            "suspend": True,
            "network": {"enableDNSHostnames": True},
            "failurePolicy": exits.jobset_failure_policy(ranks.step, alone=ranks.nodes == 1),
            "replicatedJobs": [{"name": RANK, "replicas": 1, "template": job}],
        },
    }


def job_template(ranks: Ranks, *, container: str) -> dict[str, Any]:
    """The Job inside. It never retries by itself: ranks start again together or not at all."""
    spec = {
        "completionMode": "Indexed",  # a stable host name and number for each pod
        "completions": ranks.nodes,
        "parallelism": ranks.nodes,
        "backoffLimit": 0,
        "activeDeadlineSeconds": RUN_SECONDS,
        "podFailurePolicy": exits.pod_failure_policy(container, alone=ranks.nodes == 1),
        "template": pod.pod(ranks, name=container),
    }
    return {"metadata": {"labels": naming.labels(ranks.tenant.id)}, "spec": spec}
