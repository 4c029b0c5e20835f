"""Priorities of workloads and of pods."""

from typing import Any

from generators import naming
from generators.cluster.argo import CLUSTER_KINDS
from generators.cluster.priorities import WORKLOADS, PlatformPriorities, pod_priorities
from generators.tests.samples import made, platform


def test_a_job_that_a_caller_waits_for_comes_before_trials_and_scheduled_looks() -> None:
    values = {name: value for name, (value, _) in WORKLOADS.items()}
    assert values[naming.FINETUNE] > values[naming.SEARCH] > values[naming.DRIFT] > 0


def test_model_servers_evict_nobody_and_our_services_stand_above_them() -> None:
    services, serving = pod_priorities()
    assert services["value"] > serving["value"] > 0
    assert serving["preemptionPolicy"] == "Never"


def test_no_priority_is_the_default_of_pods_that_name_none() -> None:
    assert not any(body["globalDefault"] for body in pod_priorities())


def test_argo_cd_may_deliver_every_priority_class() -> None:
    kinds = {(body["apiVersion"].split("/")[0], kind) for (_, kind, _), body in made_priorities().items()}
    assert kinds <= set(CLUSTER_KINDS)


def made_priorities() -> dict[tuple[str, str, str], dict[str, Any]]:
    return made(PlatformPriorities, platform=platform())
