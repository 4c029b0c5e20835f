"""Runner `trainjob`: a queue-labelled TrainJob of Kubeflow Trainer 2.3 on a TrainingRuntime of the tenant's own.

The runtime holds all that is the same in every attempt; the TrainJob brings command, environment and account. Trainer
sets the environment of a rendezvous itself and refuses a TrainJob that does. The size of a pod is the runtime's alone:
where a TrainJob states resources, Trainer keeps requests and limits and loses claims (pkg/runtime/core/
trainingruntime.go).
"""

from typing import Any

from generators import naming, versions
from generators.training import exits, pod
from generators.training.content import hashed, kept_object
from generators.training.jobset import job_template
from generators.training.ranks import RUN_SECONDS, Ranks

CONTAINER = "node"  # the name that Trainer looks for
ANCESTOR = {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}

# Argo reads each condition by the grammar of label selectors, so no list can be searched by type. The runtime has one
# replicated job, hence the first of jobsStatus is it. The parts of a failure are alternatives (argo-workflows:
# workflow/executor/resource.go), and Suspended is the only other condition, so Failed is among the first two.
SUCCESS = "status.jobsStatus.0.succeeded == 1"
FAILURE = "status.conditions.0.type == Failed, status.conditions.1.type == Failed"


def trainjob(ranks: Ranks) -> dict[str, Any]:
    """The TrainJob of one step; suspended until Kueue admits all of its pods at once."""
    container = pod.container(ranks, name=CONTAINER)
    trainer = {key: container[key] for key in ("image", "command", "env")}
    size = {"numNodes": ranks.nodes, "numProcPerNode": ranks.per_node}
    runtime = hashed("finetune", runtime_spec(ranks))
    return {
        "apiVersion": versions.TRAINER,
        "kind": "TrainJob",
        "metadata": {"name": ranks.name, "labels": ranks.labels},
        "spec": {
            "suspend": True,
            "activeDeadlineSeconds": RUN_SECONDS,
            "runtimeRef": {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": runtime},
            "trainer": {**trainer, **size},
            "runtimePatches": [_account_patch(ranks)],
        },
    }


def runtime(ranks: Ranks) -> dict[str, Any]:
    """The TrainingRuntime, named by its content."""
    spec = runtime_spec(ranks)
    name = hashed("finetune", spec)
    return kept_object(versions.TRAINER, "TrainingRuntime", name=name, tenant=ranks.tenant.id, spec=spec)


def runtime_spec(ranks: Ranks) -> dict[str, Any]:
    """What all TrainJobs of ranks of this size and step have in common."""
    template = job_template(ranks, container=CONTAINER)
    template["metadata"]["labels"] |= ANCESTOR
    inner = template["spec"]["template"]["spec"]
    del inner["serviceAccountName"]  # each TrainJob's, and so are command and environment
    for key in ("command", "env"):
        del inner["containers"][0][key]
    nodes = {"name": CONTAINER, "template": template}
    policy = exits.jobset_failure_policy(ranks.step, alone=ranks.nodes == 1)
    spec = {"failurePolicy": policy, "replicatedJobs": [nodes]}
    return {"mlPolicy": {"numNodes": ranks.nodes, "torch": {}}, "template": {"spec": spec}}


def _account_patch(ranks: Ranks) -> dict[str, Any]:
    pod_template = {"spec": {"serviceAccountName": ranks.account}}
    job = {"name": CONTAINER, "template": {"spec": {"template": pod_template}}}
    return {
        "manager": f"{naming.PREFIX}/account",
        "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [job]}}},
    }
