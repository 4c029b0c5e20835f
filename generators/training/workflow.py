"""The training workflow of a tenant: PIPELINE as an Argo WorkflowTemplate, built with Hera.

A GPU step is a `resource` template that creates a queue-labelled object and waits for it: Kueue may suspend and resume
the child while the workflow waits (DESIGN D5). Retries of GPU steps are the child's, of others retryStrategy's.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from hera.workflows import DAG, Container, Parameter, Resource, RetryStrategy, Task, WorkflowTemplate, models
from hera.workflows.models import DAGTask

from app.contract.internal import ATTEMPT_PARAMETER, JOB_PARAMETER, SLOT_PARAMETER, TRACEPARENT_PARAMETER
from generators import naming, restricted
from generators.inputs.platform import Platform
from generators.inputs.recipes import recipe_names
from generators.inputs.tenant import Tenant
from generators.manifest import Construct, Place, Wave, manifest
from generators.naming import EXECUTOR, STEP
from generators.training import exits, jobset, pod, rayjob, trainjob
from generators.writing import to_yaml
from trainer.contract.steps import PIPELINE, Step

DAY_SECONDS = 24 * 3600
DEADLINE_SECONDS = 7 * DAY_SECONDS  # of an attempt, waiting for quota included
KEEP_SECONDS = 3 * DAY_SECONDS  # of a finished Workflow; the job's row outlives it

Template = Container | Resource | DAG


class FinetuneWorkflow(Construct):
    """WorkflowTemplate `finetune-<hash8>`, and the TrainingRuntime of runner `trainjob`."""

    def __init__(self, scope: Construct, construct_id: str, *, tenant: Tenant, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        namespace, source = naming.training_namespace(tenant.id), tenant.key("training")
        body = workflow_template(tenant, platform)
        manifest(self, body, at=Place("workloads", namespace, source, Wave.TEMPLATE))
        if tenant.training.runner == "trainjob":
            spec = trainjob.runtime_spec(tenant, platform)
            runtime = trainjob.runtime(_hashed("finetune", spec), tenant, spec)
            # It sets account and security of pods, so it belongs to what the tenant's deployer cannot write.
            manifest(self, runtime, at=Place("foundation", namespace, source, Wave.TEMPLATE))


def workflow_template_names(tenant: Tenant, platform: Platform) -> dict[str, str]:
    """Recipe -> name of its template."""
    return dict.fromkeys(recipe_names(), workflow_template_name(tenant, platform))


def workflow_template_name(tenant: Tenant, platform: Platform) -> str:
    """Name of the template that new attempts run. It carries a hash of the spec: a sync changes no running job (D6)."""
    name: str = workflow_template(tenant, platform)["metadata"]["name"]
    return name


def workflow_template(tenant: Tenant, platform: Platform) -> dict[str, Any]:
    """The whole WorkflowTemplate."""
    body: dict[str, Any] = _unnamed(tenant, platform).to_dict()
    body["metadata"] = {"name": _hashed("finetune", body["spec"]), "labels": naming.labels(tenant.id)}
    return body


def parameters(tenant: Tenant) -> list[Parameter]:
    """A base64url text, numbers and a trace context; nothing else enters a manifest."""
    names = [JOB_PARAMETER, ATTEMPT_PARAMETER, TRACEPARENT_PARAMETER]
    made = [Parameter(name=name) for name in names]
    if tenant.isolation == "hard":
        slots = [str(slot) for slot in range(tenant.limits.running_jobs)]
        made.append(Parameter(name=SLOT_PARAMETER, enum=slots))
    return made


def _unnamed(tenant: Tenant, platform: Platform) -> WorkflowTemplate:
    return WorkflowTemplate(
        entrypoint="pipeline",
        arguments=parameters(tenant),
        templates=[pipeline(), *(template_of(step, tenant, platform) for step in PIPELINE)],
        service_account_name=STEP,
        # The step has no token; only Argo's own containers hold the executor's.
        automount_service_account_token=False,
        executor=models.ExecutorConfig(service_account_name=EXECUTOR),
        security_context=models.PodSecurityContext.model_validate(restricted.POD_SECURITY),
        dns_config=models.PodDNSConfig.model_validate(restricted.DNS_CONFIG),
        volumes=[models.Volume.model_validate(volume) for volume in pod.volumes()],
        pod_metadata=models.Metadata(labels=naming.labels(tenant.id)),
        workflow_metadata=models.WorkflowMetadata(labels=naming.labels(tenant.id)),
        archive_logs=False,  # a log archive would need the executor to reach a bucket
        active_deadline_seconds=DEADLINE_SECONDS,
        ttl_strategy=models.TTLStrategy(seconds_after_completion=KEEP_SECONDS),
        pod_gc=models.PodGC(strategy="OnPodSuccess"),
    )


def pipeline() -> DAG:
    """PIPELINE in its order, each step after the one before."""
    tasks: list[Task | DAGTask] = [
        Task(name=step.name, template=step.name, dependencies=[before.name] if before else None)
        for before, step in zip((None, *PIPELINE), PIPELINE, strict=False)
    ]
    return DAG(name="pipeline", tasks=tasks)


def template_of(step: Step, tenant: Tenant, platform: Platform) -> Template:
    return _resource(step, tenant, platform) if step.needs_gpu else _container(step, tenant, platform)


def _resource(step: Step, tenant: Tenant, platform: Platform) -> Resource:
    """Creates the step's object, owned by the Workflow, and waits for its outcome."""
    body, success, failure = _RUNNERS[tenant.training.runner](step, tenant, platform)
    return Resource(
        name=step.name,
        action="create",
        set_owner_reference=True,
        manifest=to_yaml(body, source=tenant.key("training.runner")),
        success_condition=success,
        failure_condition=failure,
        service_account_name=EXECUTOR,
    )


def _container(step: Step, tenant: Tenant, platform: Platform) -> Container:
    return Container(
        name=step.name,
        image=platform.image("trainer"),
        command=list(step.command),
        env=[models.EnvVar.model_validate(variable) for variable in pod.environment(tenant, platform)],
        volume_mounts=[models.VolumeMount.model_validate(mount) for mount in pod.mounts()],
        resources=models.ResourceRequirements.model_validate(restricted.resources("2", "8Gi")),
        security_context=models.SecurityContext.model_validate(restricted.CONTAINER_SECURITY),
        retry_strategy=RetryStrategy(
            limit=exits.MOST_RESUMES + step.retries,
            retry_policy="Always",
            expression=exits.retry_expression(step),
            backoff=models.Backoff(duration="10", factor=2, cap="300"),
        ),
    )


Runner = Callable[[Step, Tenant, Platform], tuple[dict[str, Any], str, str]]  # -> body, success, failure


def _jobset(step: Step, tenant: Tenant, platform: Platform) -> tuple[dict[str, Any], str, str]:
    return jobset.jobset(step, tenant, platform), jobset.SUCCESS, jobset.FAILURE


def _trainjob(step: Step, tenant: Tenant, platform: Platform) -> tuple[dict[str, Any], str, str]:
    runtime = _hashed("finetune", trainjob.runtime_spec(tenant, platform))
    return trainjob.trainjob(step, tenant, platform, runtime=runtime), trainjob.SUCCESS, trainjob.FAILURE


def _rayjob(step: Step, tenant: Tenant, platform: Platform) -> tuple[dict[str, Any], str, str]:
    return rayjob.rayjob(step, tenant, platform), rayjob.SUCCESS, rayjob.FAILURE


_RUNNERS: dict[str, Runner] = {"jobset": _jobset, "trainjob": _trainjob, "rayjob": _rayjob}


def _hashed(stem: str, spec: dict[str, Any]) -> str:
    canonical = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    return f"{stem}-{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"
