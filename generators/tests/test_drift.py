"""Drift: the stable version of each model, evaluated again on a schedule."""

from typing import Any

import pytest

from app.contract.models import Stage
from generators.foundation.rbac import training_accounts
from generators.tests.samples import TRAIN, made, platform, record, sample_tenant, version
from generators.tests.trained import NODES, child, environment, pod_of, templates_of
from generators.training.drift import cron_workflow, watched
from generators.training.templates import TrainingWorkflows
from trainer.contract import steps
from trainer.contract.version import ServedVersion

STABLE = record(version("m-abcdefghijkl", Stage.STABLE))


def tenant_of(**changes: Any) -> Any:
    return sample_tenant(drift={"schedule": "30 3 * * 1"}, models={"m": STABLE}, **changes)


def cron(**changes: Any) -> dict[str, Any]:
    return cron_workflow(tenant_of(**changes), platform(), "m", template="drift-01234567")


def test_a_schedule_runs_in_utc_once_at_a_time_and_fails_no_delivery() -> None:
    spec = cron()["spec"]
    assert (spec["schedules"], spec["timezone"], spec["concurrencyPolicy"]) == (["30 3 * * 1"], "UTC", "Forbid")
    assert cron()["metadata"]["annotations"]["argocd.argoproj.io/ignore-healthcheck"] == "true"


def test_the_evaluation_is_told_what_git_says_of_the_version() -> None:
    (argument,) = cron()["spec"]["workflowSpec"]["arguments"]["parameters"]
    told = ServedVersion.from_parameter(argument["value"])
    assert (told.model, told.version, told.job, told.adapter_digest) == ("m", "m-abcdefghijkl", "j", "b" * 64)
    assert told.base == f"s3://tenon-models/{told.base_digest}"


def test_the_schedule_names_a_template_that_is_rendered() -> None:
    tenant = tenant_of()
    objects = made(TrainingWorkflows, tenant=tenant, platform=platform(), templates=templates_of(tenant))
    (found,) = (body for key, body in objects.items() if key[1] == "CronWorkflow")
    assert (TRAIN, "WorkflowTemplate", found["spec"]["workflowSpec"]["workflowTemplateRef"]["name"]) in objects


def test_an_evaluation_gives_way_to_everything_else_and_runs_alone() -> None:
    (body,) = templates_of(tenant_of()).drift.values()
    ranks = child(body, "drift")
    assert ranks["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "drift"
    assert body["spec"]["synchronization"] == {"mutexes": [{"name": "drift"}]}
    given = environment(pod_of(ranks)["containers"][0])
    assert given[steps.VERSION] == "{{workflow.parameters.version}}"
    assert not given.keys() & {steps.JOB, steps.ATTEMPT}


def test_kept_apart_an_evaluation_has_an_account_that_no_job_is_given() -> None:
    tenant = tenant_of(isolation="hard")
    (body,) = templates_of(tenant).drift.values()
    account = pod_of(child(body, "drift"))["serviceAccountName"]
    slots = templates_of(tenant).finetune["smollm2-135m-t4"]["spec"]["arguments"]["parameters"][-1]["enum"]
    assert account in training_accounts(tenant)
    assert account not in {f"trainer-{slot}" for slot in slots}


def test_the_names_of_an_evaluations_pods_fit_a_label() -> None:
    """Argo adds a time to the schedule's name, JobSet its ranks to ours, Kubernetes five characters to the pod's."""
    sharded = STABLE.model_copy(update={"recipe": NODES})
    name = cron_workflow(
        sample_tenant(drift={"schedule": "0 0 * * *"}, models={"m" * 40: sharded}),
        platform(),
        "m" * 40,
        template="drift-01234567",
    )["metadata"]["name"]
    assert name.startswith("ft-")
    assert len(f"{name}-1767225600-drift-rank-0-63-abcde") <= 63


@pytest.mark.parametrize("changes", [{"drift": {"schedule": "0 0 * * *"}}, {"models": {"m": STABLE}}])
def test_nothing_is_evaluated_without_a_schedule_or_without_a_stable_version(changes: dict[str, Any]) -> None:
    tenant = sample_tenant(**changes)
    assert watched(tenant) == {}
    assert templates_of(tenant).drift == {}
