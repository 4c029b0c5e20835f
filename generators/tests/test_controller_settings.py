"""Settings of the workflow controller and of Kueue, read back from what is rendered."""

import json
from typing import Any

import yaml

from generators import naming
from generators.cluster.kueue import FRAMEWORKS, chart_values, configuration
from generators.cluster.workflows import controller_settings, settings
from generators.foundation.quota import GPU
from generators.tests.samples import platform, sample_platform

FLAVOR = {"capacity": 8, "pricePerHour": 1, "memoryGiB": 80, "architecture": "hopper", "deviceClass": "gpu.example"}


def read_as_argo_does(data: dict[str, str]) -> dict[str, Any]:
    """argo-workflows 4.1, config/controller.go: keys and their texts make one YAML document."""
    assert not [text for text in data.values() if "\n" in text]
    found: dict[str, Any] = yaml.safe_load("\n".join(f"{key}: {text}" for key, text in data.items()))
    return found


def test_the_workflow_controller_reads_what_was_meant() -> None:
    body = controller_settings(platform())
    assert body["metadata"]["name"] == "workflow-controller-configmap"
    assert read_as_argo_does(body["data"]) == settings(platform())


def test_a_workflow_may_only_name_a_template() -> None:
    assert settings(platform())["workflowRestrictions"] == {"templateReferencing": "Strict"}


def test_what_argo_adds_to_a_pod_is_named_by_digest() -> None:
    assert settings(platform())["executor"]["image"] == platform().image("argoexec")


def test_no_artifact_repository_is_shared_and_no_log_or_environment_is_kept() -> None:
    assert not {"artifactRepository", "persistence"} & settings(platform()).keys()
    assert settings(platform())["workflowDefaults"]["spec"]["archiveLogs"] is False
    assert settings(platform())["podSpecLogStrategy"] == {"failedPod": False, "allPods": False}


def test_the_workflow_controller_limits_no_running_jobs() -> None:
    assert not {"parallelism", "namespaceParallelism"} & settings(platform()).keys()


def test_containers_that_argo_adds_pass_restricted_by_themselves() -> None:
    for container in ("executor", "mainContainer"):
        security = settings(platform())[container]["securityContext"]
        assert security["runAsNonRoot"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert not security["allowPrivilegeEscalation"]
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}


def test_kueue_holds_every_runner_and_plain_jobs_in_training_namespaces_alone() -> None:
    found = configuration(platform())
    assert set(found["integrations"]["frameworks"]) == set(FRAMEWORKS)
    assert found["manageJobsWithoutQueueName"]
    assert found["managedJobsNamespaceSelector"] == {"matchLabels": {naming.PLANE_LABEL: "train"}}


def test_a_slow_start_of_one_tenant_stops_no_other() -> None:
    assert configuration(platform())["waitForPodsReady"]["blockAdmission"] is False


def test_claimed_devices_are_counted_as_gpus() -> None:
    two = sample_platform(gpuFlavors={"a": FLAVOR, "b": {**FLAVOR, "deviceClass": "other.example"}})
    mapping = {"name": GPU, "deviceClassNames": ["gpu.example", "other.example"]}
    assert configuration(two)["resources"] == {"deviceClassMappings": [mapping]}


def test_without_device_classes_nothing_is_mapped() -> None:
    assert "resources" not in configuration(platform())


def test_kueues_chart_can_take_the_text_as_it_is() -> None:
    text = chart_values(platform())["managerConfig"]["controllerManagerConfigYaml"]
    assert yaml.safe_load(text) == json.loads(text) == configuration(platform())
