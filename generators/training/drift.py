"""Drift: the stable version of each model, evaluated again at the times of `drift.schedule`.

One CronWorkflow for each record with a stable version, and one WorkflowTemplate for them all. They run one after
another, in the lowest priority. With isolation `hard` they have an account of their own, after those of the slots.
"""

from typing import Any

from hera.workflows import Parameter

from app.contract.models import ModelRecord, ModelVersion, Stage
from generators import naming, versions
from generators.inputs.platform import Platform
from generators.inputs.recipes import recipe
from generators.inputs.tenant import Tenant
from generators.training import pod
from generators.training.content import hash8
from generators.training.ranks import Ranks
from generators.training.workflow import gpu_step, workflow_template
from trainer.contract import steps
from trainer.contract.recipe import Recipe
from trainer.contract.steps import DRIFT
from trainer.contract.version import ServedVersion

VERSION_PARAMETER = "version"
START_SECONDS = 3600  # how late a run may begin after the controller was down
_IGNORE_HEALTH = {"argocd.argoproj.io/ignore-healthcheck": "true"}  # a failed evaluation is no failed delivery


def watched(tenant: Tenant) -> dict[str, ModelVersion]:
    """Model -> its stable version; empty without `drift`."""
    if tenant.drift is None:
        return {}
    stable = {model: record.at(Stage.STABLE) for model, record in tenant.models.items()}
    return {model: version for model, version in stable.items() if version}


def drift(tenant: Tenant, platform: Platform, of: Recipe) -> dict[str, Any]:
    """WorkflowTemplate `drift-<hash8>` of models with this recipe."""
    templates = [gpu_step(drift_ranks(tenant, platform, of))]
    return workflow_template("drift", tenant, templates, arguments=[Parameter(name=VERSION_PARAMETER)], mutex="drift")


def drift_ranks(tenant: Tenant, platform: Platform, of: Recipe) -> Ranks:
    """The ranks of one evaluation."""
    return Ranks(
        DRIFT,
        tenant,
        platform,
        of,
        pod.child_name(DRIFT),
        priority=naming.DRIFT,
        slot=str(tenant.limits.running_jobs),
        given={steps.VERSION: pod.parameter(VERSION_PARAMETER)},
    )


def cron_workflow(tenant: Tenant, platform: Platform, model: str, *, template: str) -> dict[str, Any]:
    """CronWorkflow of a model with a stable version.

    Its name is short, because the names of its pods are made of it; the label has the model's. It begins with `ft-`, as
    all names do that ranks may look up.
    """
    assert tenant.drift is not None  # noqa: S101 - `watched` has no model of a tenant without it
    version = watched(tenant)[model]
    argument = {
        "name": VERSION_PARAMETER,
        "value": served_version(tenant, platform, model, version=version).to_parameter(),
    }
    return {
        "apiVersion": versions.ARGO,
        "kind": "CronWorkflow",
        "metadata": {
            "name": f"ft-drift-{hash8(model)}",
            "labels": {**naming.labels(tenant.id), "app.kubernetes.io/name": model},
            "annotations": dict(_IGNORE_HEALTH),
        },
        "spec": {
            "schedules": [tenant.drift.schedule],
            "timezone": "UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": START_SECONDS,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 1,
            "workflowMetadata": {"labels": naming.labels(tenant.id)},
            "workflowSpec": {"workflowTemplateRef": {"name": template}, "arguments": {"parameters": [argument]}},
        },
    }


def served_version(tenant: Tenant, platform: Platform, model: str, *, version: ModelVersion) -> ServedVersion:
    """What the evaluation is told of the version, all of it from Git."""
    record: ModelRecord = tenant.models[model]
    digest = platform.catalogue[record.base].digest
    return ServedVersion(
        tenant=tenant.id,
        model=model,
        version=version.version,
        job=version.job,
        adapter_digest=version.adapter_digest,
        base=f"s3://{naming.models_bucket(platform.storage.bucket_prefix)}/{digest}",
        base_digest=digest,
        recipe=record.recipe,
    )


def drift_recipes(tenant: Tenant) -> dict[str, Recipe]:
    """Recipes of the models that are evaluated again, by name."""
    return {name: recipe(name) for name in sorted({tenant.models[model].recipe for model in watched(tenant)})}
