"""The Workflow of an attempt as Kubernetes gets it: a reference to the tenant's template, and parameters. Pure.

Admission (generators/cluster/admission/workflows.py) refuses everything else.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from app.contract.directory import TenantEntry
from app.contract.internal import ATTEMPT_PARAMETER, JOB_PARAMETER
from app.workflows.workflow import WorkflowRefusedError
from trainer.contract.job import TrainingJob

API_VERSION = "argoproj.io/v1alpha1"
PREFIX = "tenon.dev"  # of generators/naming.py; the policies that read the labels would refuse another
TENANT_LABEL = f"{PREFIX}/tenant"
JOB_LABEL, ATTEMPT_LABEL = f"{PREFIX}/job", f"{PREFIX}/attempt"
REQUEST_HASH = f"{PREFIX}/request-hash"  # annotation: what the attempt is, apart from its trace
TEMPLATE_MISSING = "template_missing"


def workflows_path(namespace: str) -> str:
    return f"/apis/{API_VERSION}/namespaces/{namespace}/workflows"


def workloads_path(namespace: str) -> str:
    """Kueue's: one for each queue-labelled object that a workflow makes."""
    return f"/apis/kueue.x-k8s.io/v1beta2/namespaces/{namespace}/workloads"


def workflow(name: str, *, tenant: TenantEntry, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Raises WorkflowRefusedError where the tenant has no template for the job's recipe."""
    job = TrainingJob.from_parameter(parameters[JOB_PARAMETER])
    values = [{"name": key, "value": value} for key, value in parameters.items()]
    return {
        "apiVersion": API_VERSION,
        "kind": "Workflow",
        "metadata": {
            "name": name,
            "labels": {
                "app.kubernetes.io/managed-by": "tenon",
                TENANT_LABEL: tenant.id,
                JOB_LABEL: job.job,
                ATTEMPT_LABEL: parameters[ATTEMPT_PARAMETER],
            },
            "annotations": {REQUEST_HASH: request_hash(parameters)},
        },
        "spec": {"workflowTemplateRef": {"name": template(job, tenant)}, "arguments": {"parameters": values}},
    }


def template(job: TrainingJob, tenant: TenantEntry) -> str:
    """Name of the template that runs the job. Raises WorkflowRefusedError."""
    known, what = (
        (tenant.search_templates, "search_templates") if job.search else (tenant.workflow_templates, "templates")
    )
    if (found := known.get(job.recipe)) is None:
        has = ", ".join(sorted(known)) or "none"
        text = f"recipe {job.recipe}: tenant {tenant.id} has no {what} for it (it has {has}); name one of those recipes"
        raise WorkflowRefusedError(TEMPLATE_MISSING, text)
    return found


def request_hash(parameters: Mapping[str, str]) -> str:
    """Tells an attempt that is made twice from another one under its name: the trace differs each time."""
    text = "\0".join(parameters[key] for key in (JOB_PARAMETER, ATTEMPT_PARAMETER))
    return hashlib.sha256(text.encode()).hexdigest()
