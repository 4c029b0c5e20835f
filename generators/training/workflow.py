"""The training workflow of a recipe: PIPELINE as an Argo WorkflowTemplate, built with Hera.

A GPU step is a `resource` template that creates a queue-labelled object and waits for it: Kueue may suspend and resume
the child while the workflow waits (DESIGN D5). Retries of GPU steps are the child's, of others retryStrategy's.
"""

from collections.abc import Sequence
from typing import Any

from hera.workflows import DAG, Container, Parameter, Resource, RetryStrategy, Steps, Task, WorkflowTemplate, models
from hera.workflows.models import DAGTask

from app.contract.internal import ATTEMPT_PARAMETER, JOB_PARAMETER, SLOT_PARAMETER, TRACEPARENT_PARAMETER
from generators import naming, restricted, versions
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from generators.naming import EXECUTOR, STEP
from generators.training import exits, pod
from generators.training.content import hashed, kept_object
from generators.training.ranks import DAY_SECONDS, Ranks
from generators.training.release import EXIT, release
from generators.training.runners import carried
from generators.writing import to_yaml
from trainer.contract.recipe import Recipe
from trainer.contract.steps import PIPELINE, Step

DEADLINE_SECONDS = 7 * DAY_SECONDS  # of an attempt, waiting for quota included
KEEP_SECONDS = 3 * DAY_SECONDS  # of a finished Workflow; the job's row outlives it

Template = Container | Resource | DAG | Steps


def finetune(tenant: Tenant, platform: Platform, recipe: Recipe) -> dict[str, Any]:
    """WorkflowTemplate `finetune-<hash8>` of jobs with this recipe."""
    steps = [
        gpu_step(attempt_ranks(step, tenant, platform, recipe))
        if step.needs_gpu
        else plain_step(step, tenant, platform)
        for step in PIPELINE
    ]
    templates = [in_order("pipeline", [step.name for step in PIPELINE]), *steps]
    return workflow_template("finetune", tenant, templates, arguments=attempt_parameters(tenant))


def attempt_ranks(
    step: Step, tenant: Tenant, platform: Platform, recipe: Recipe, *, priority: str = naming.FINETUNE
) -> Ranks:
    """The ranks of a step of an attempt, which the dispatcher has made for a job."""
    name = pod.child_name(step)
    return Ranks(step, tenant, platform, recipe, name, priority=priority, given=pod.of_attempt())


def workflow_template(
    stem: str, tenant: Tenant, templates: Sequence[Template], *, arguments: list[Parameter], mutex: str | None = None
) -> dict[str, Any]:
    """`<stem>-<hash8>`: the first of the templates is where a Workflow begins.

    mutex: Workflows of this name run one after another.
    """
    spec = WorkflowTemplate(
        entrypoint=templates[0].name,
        arguments=arguments,
        on_exit=EXIT,
        templates=[*templates, *release(tenant)],
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
        synchronization=models.Synchronization(mutexes=[models.Mutex(name=mutex)]) if mutex else None,
    ).to_dict()["spec"]
    return kept_object(versions.ARGO, "WorkflowTemplate", name=hashed(stem, spec), tenant=tenant.id, spec=spec)


def attempt_parameters(tenant: Tenant) -> list[Parameter]:
    """A base64url text, numbers and a trace context; nothing else enters a manifest."""
    names = [JOB_PARAMETER, ATTEMPT_PARAMETER, TRACEPARENT_PARAMETER]
    made = [Parameter(name=name) for name in names]
    if tenant.isolation == "hard":
        slots = [str(slot) for slot in range(tenant.limits.running_jobs)]
        made.append(Parameter(name=SLOT_PARAMETER, enum=slots))
    return made


def in_order(name: str, templates: list[str]) -> DAG:
    """Templates one after another, each a task of its own name."""
    tasks: list[Task | DAGTask] = [
        Task(name=each, template=each, dependencies=[before] if before else None)
        for before, each in zip((None, *templates), templates, strict=False)
    ]
    return DAG(name=name, tasks=tasks)


def gpu_step(ranks: Ranks, *, inputs: list[Parameter] | None = None) -> Resource:
    """Creates the step's object, owned by the Workflow, and waits for its outcome."""
    child = carried(ranks)
    return Resource(
        name=ranks.step.name,
        inputs=inputs,
        action="create",
        set_owner_reference=True,
        manifest=to_yaml(child.body, source=ranks.tenant.key("training.runner")),
        success_condition=child.success,
        failure_condition=child.failure,
        service_account_name=EXECUTOR,
    )


def plain_step(step: Step, tenant: Tenant, platform: Platform, *, outputs: list[Parameter] | None = None) -> Container:
    """A step of an attempt without a GPU; it is started again by its exit code."""
    environment = pod.environment(tenant, platform, pod.of_attempt())
    return Container(
        name=step.name,
        outputs=outputs,
        image=platform.image("trainer"),
        command=list(step.command),
        termination_message_policy=pod.LAST_WORDS["terminationMessagePolicy"],
        env=[models.EnvVar.model_validate(variable) for variable in environment],
        ports=[models.ContainerPort.model_validate(pod.METRICS)],
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
