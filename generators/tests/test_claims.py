"""GPUs by claim, memory raised in place, GPUs that a tenant's own pods share."""

from typing import Any

import pytest
from kubernetes import client

from generators.foundation.kueue import cluster_queue
from generators.foundation.rbac import training_grants
from generators.inputs.recipes import recipe
from generators.serving.server import Served
from generators.serving.server import pod as served_pod
from generators.tests.samples import platform, record, sample_platform, sample_tenant
from generators.tests.trained import EIGHT, ONE, carried, child, environment, pod_of
from generators.training.templates import training_templates
from generators.training.workflow import finetune

FLAVOR = {"capacity": 8, "pricePerHour": 1, "memoryGiB": 16, "architecture": "hopper"}
GPU = "nvidia.com/gpu"


def training(**changes: Any) -> dict[str, Any]:
    return {"training": {"runner": "jobset", "gpus": {"flavor": "t4", "guaranteed": 8}, **changes}}


CLAIMED = sample_platform(gpuFlavors={"t4": {**FLAVOR, "deviceClass": "gpu.nvidia.com"}})


def claimed(runner: str) -> tuple[str, list[dict[str, Any]]]:
    """A step's object as text, and what it needs beside it."""
    tenant = sample_tenant(**training(runner=runner, claims="dra"), models={"m": record()})
    body = finetune(tenant, CLAIMED, recipe(ONE))
    return str(body), list(training_templates(tenant, CLAIMED).needed)


@pytest.mark.requirement("D71")
def test_a_pod_with_a_claim_asks_for_no_extended_resource() -> None:
    tenant = sample_tenant(**training(claims="dra"), models={"m": record().model_copy(update={"recipe": EIGHT})})
    pod = pod_of(child(finetune(tenant, CLAIMED, recipe(EIGHT)), "train"))
    resources = pod["containers"][0]["resources"]
    assert resources["claims"] == [{"name": "gpus"}]
    assert GPU not in {**resources["limits"], **resources["requests"]}
    client.V1PodSpec.model_validate(pod)
    made = {body["metadata"]["name"]: body["spec"]["spec"] for body in training_templates(tenant, CLAIMED).needed}
    (request,) = made[pod["resourceClaims"][0]["resourceClaimTemplateName"]]["devices"]["requests"]
    assert request["exactly"] == {"deviceClassName": "gpu.nvidia.com", "allocationMode": "ExactCount", "count": 8}


@pytest.mark.requirement("D71")
@pytest.mark.parametrize("runner", ["jobset", "trainjob", "rayjob"])
def test_every_runner_finds_the_claim_template_it_names(runner: str) -> None:
    text, needed = claimed(runner)
    templates = [body["metadata"]["name"] for body in needed if body["kind"] == "ResourceClaimTemplate"]
    assert templates
    assert any(name in text + str(needed) for name in templates)
    assert GPU + ":" not in text


def test_a_trainjob_states_no_resources_because_trainer_would_lose_the_claims() -> None:
    text, needed = claimed("trainjob")
    assert "resourcesPerNode" not in text
    assert any("'claims': [{'name': 'gpus'}]" in str(body) for body in needed if body["kind"] == "TrainingRuntime")


def test_a_claim_template_satisfies_kubernetes_own_model() -> None:
    _, needed = claimed("jobset")
    for body in needed:
        client.V1ResourceClaimTemplate.model_validate(body)


def test_a_job_on_the_cpu_claims_nothing() -> None:
    tenant = sample_tenant(**training(claims="dra"))
    body = finetune(tenant, CLAIMED, recipe("smollm2-135m-cpu"))
    assert "resourceClaims" not in str(body)


@pytest.mark.requirement("D72")
def test_memory_may_be_raised_in_place_where_the_tenant_file_says_so() -> None:
    plain, raised = carried(ONE), carried(ONE, **training(resize={"mostMemoryGiB": 64}))
    assert "resizePolicy" not in str(plain)
    policy = pod_of(raised)["containers"][0]["resizePolicy"]
    assert policy == [{"resourceName": "memory", "restartPolicy": "NotRequired"}]
    client.V1PodSpec.model_validate(pod_of(raised))


@pytest.mark.requirement("D72")
def test_owners_may_resize_only_where_the_tenant_file_says_so() -> None:
    def grants(**changes: Any) -> bool:
        owners = next(
            grant for grant in training_grants(sample_tenant(**training(**changes))) if grant.name == "owners"
        )
        return any("pods/resize" in rule["resources"] for rule in owners.rules)

    assert grants(resize={"mostMemoryGiB": 64})
    assert not grants()


def test_pods_that_take_turns_on_a_gpu_are_held_to_their_part_of_its_memory() -> None:
    shared = sample_platform(gpuFlavors={"t4": {**FLAVOR, "sharing": {"mode": "timeSlicing", "replicas": 4}}})
    pod = pod_of(child(finetune(sample_tenant(), shared, recipe(ONE)), "train"))
    given = environment(pod["containers"][0])
    assert given["PYTORCH_ALLOC_CONF"] == "per_process_memory_fraction:0.250"
    assert "PYTORCH_ALLOC_CONF" not in environment(pod_of(carried(ONE))["containers"][0])


@pytest.mark.requirement("C52")
@pytest.mark.parametrize(("mode", "own"), [("timeSlicing", True), ("mps", False)])
def test_with_mps_the_device_plugin_brings_the_memory_that_its_clients_share(mode: str, *, own: bool) -> None:
    shared = sample_platform(gpuFlavors={"t4": {**FLAVOR, "sharing": {"mode": mode, "replicas": 4}}})
    tenant = sample_tenant(models={"m": record()})
    server = served_pod(Served(tenant, shared, "m"), {"name": "server", "env": []})["spec"]
    for pod in (pod_of(child(finetune(tenant, shared, recipe(ONE)), "train")), server):
        assert ("/dev/shm" in [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]) is own  # noqa: S108
        assert ("shm" in [volume["name"] for volume in pod["volumes"]]) is own


def test_gpus_that_pods_share_are_lent_to_nobody() -> None:
    shared = sample_platform(gpuFlavors={"t4": {**FLAVOR, "sharing": {"mode": "timeSlicing", "replicas": 2}}})
    quotas = cluster_queue(sample_tenant(), shared)["spec"]["resourceGroups"][0]["flavors"][0]["resources"]
    assert {quota["lendingLimit"] for quota in quotas} == {"0"}
    own = cluster_queue(sample_tenant(), platform())["spec"]["resourceGroups"][0]["flavors"][0]["resources"]
    assert all(quota["lendingLimit"] == quota["nominalQuota"] for quota in own)
