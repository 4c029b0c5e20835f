"""Runner `trainjob`: a queue-labelled TrainJob of Kubeflow Trainer 2.3 on a TrainingRuntime of the tenant's own.

The runtime holds all that is the same in every attempt; the TrainJob brings command, environment and account.
"""

from typing import Any

from generators import naming, versions
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from generators.training import exits, pod
from generators.training.jobset import job_template, queue_labels
from trainer.contract.steps import PIPELINE, Step

CONTAINER = "node"  # the name that Trainer looks for
ANCESTOR = {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}

# A TrainJob made suspended has the condition Suspended first and for good; the second one is its outcome.
SUCCESS = "status.conditions.1.type == Complete"
FAILURE = "status.conditions.1.type == Failed"


def trainjob(step: Step, tenant: Tenant, platform: Platform, *, runtime: str) -> dict[str, Any]:
    """The TrainJob of one attempt's step; suspended until Kueue admits it."""
    container = pod.container(step, tenant, platform, name=CONTAINER)
    trainer = {key: container[key] for key in ("image", "command", "env")}
    return {
        "apiVersion": versions.TRAINER,
        "kind": "TrainJob",
        "metadata": {"name": pod.child_name(step), "labels": queue_labels(tenant)},
        "spec": {
            "suspend": True,
            "runtimeRef": {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": runtime},
            "trainer": {**trainer, "numNodes": 1, "resourcesPerNode": container["resources"]},
            "runtimePatches": [_account_patch(tenant)],
        },
    }


def runtime_spec(tenant: Tenant, platform: Platform) -> dict[str, Any]:
    """Spec of the TrainingRuntime. Command and environment are the train step's until a TrainJob sets them."""
    step = next(step for step in PIPELINE if step.needs_gpu)
    template = job_template(step, tenant, platform, container=CONTAINER)
    template["metadata"]["labels"] |= ANCESTOR
    inner = template["spec"]["template"]["spec"]
    del inner["serviceAccountName"]  # each TrainJob's, and so are command and environment
    for key in ("command", "env"):
        del inner["containers"][0][key]
    nodes = {"name": "node", "template": template}
    spec = {"failurePolicy": exits.jobset_failure_policy(step), "replicatedJobs": [nodes]}
    return {"mlPolicy": {"numNodes": 1, "torch": {}}, "template": {"spec": spec}}


def runtime(name: str, tenant: Tenant, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": versions.TRAINER,
        "kind": "TrainingRuntime",
        "metadata": {"name": name, "labels": naming.labels(tenant.id)},
        "spec": spec,
    }


def _account_patch(tenant: Tenant) -> dict[str, Any]:
    pod_template = {"spec": {"serviceAccountName": pod.account(tenant)}}
    job = {"name": "node", "template": {"spec": {"template": pod_template}}}
    return {
        "manager": f"{naming.PREFIX}/account",
        "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [job]}}},
    }
