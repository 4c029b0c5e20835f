"""Servers of a model: what they load, under which names, with what resources."""

import pytest
from kubernetes import client

from app.contract.models import Stage
from generators.serving.vllm import RANKS
from generators.tests.samples import SERVE, pods, record, version
from generators.tests.served import command, option, rollout, served, spec


@pytest.mark.parametrize("runtime", ["vllm", "transformers"])
def test_without_a_promoted_version_the_base_is_served_under_the_models_name(runtime: str) -> None:
    words = command(record(version("replies-a", Stage.CANDIDATE), runtime=runtime))
    assert "replies-a" not in words
    assert words.endswith("replies")


@pytest.mark.parametrize("runtime", ["vllm", "transformers"])
def test_a_version_is_served_under_its_own_name_and_the_models(runtime: str) -> None:
    words = command(record(version("replies-a", Stage.STABLE), runtime=runtime))
    assert "replies-a=/models/versions/replies-a/adapter" in words
    assert "replies=/models/versions/replies-a/adapter" in words


def test_a_canary_in_the_record_changes_the_pods() -> None:
    stable = version("replies-a", Stage.STABLE)
    before, after = record(stable), record(version("replies-b", Stage.CANARY), stable)
    assert rollout(before)["template"] != rollout(after)["template"]
    assert "replies-b" in command(after)


@pytest.mark.requirement("B38")
def test_a_canary_that_became_stable_changes_no_pod() -> None:
    canary = record(version("replies-b", Stage.CANARY), version("replies-a", Stage.STABLE))
    stable = record(version("replies-b", Stage.STABLE), version("replies-a", Stage.RETIRED))
    assert rollout(canary)["template"] == rollout(stable)["template"]


@pytest.mark.requirement("B38")
def test_weights_are_fetched_by_the_digest_that_git_states() -> None:
    fetched = rollout(record(version("replies-a", Stage.STABLE)))["template"]["spec"]["initContainers"]
    assert [container["command"][-2:] for container in fetched] == [["--manifest", "a" * 64], ["--adapter", "b" * 64]]


@pytest.mark.requirement("B47")
def test_adapters_cannot_be_loaded_while_the_server_runs() -> None:
    assert "RUNTIME_LORA" not in str(rollout(record(version("replies-a", Stage.STABLE))))


@pytest.mark.parametrize(("rank", "taken"), [(None, 16), (1, 8), (8, 8), (33, 64), (256, 256)])
def test_a_server_takes_the_rank_of_its_adapter_and_no_more(rank: int | None, taken: int) -> None:
    adapter = version("replies-a", Stage.STABLE).model_copy(update={"rank": rank})
    words = command(record(adapter))
    assert option(words, "--max-lora-rank") == str(taken)
    assert taken in RANKS


def test_the_gpu_of_a_replica_stands_in_its_limits() -> None:
    container = rollout(record(gpusPerReplica=2))["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"


def test_a_replica_without_a_gpu_asks_for_no_gpu_node() -> None:
    pod = rollout(record(runtime="transformers", gpusPerReplica=0))["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"] == {"cpu": "2", "memory": "8Gi"}
    assert "nodeSelector" not in pod


@pytest.mark.parametrize("runtime", ["vllm", "transformers"])
def test_a_model_servers_pod_has_only_fields_that_kubernetes_knows(runtime: str) -> None:
    (pod,) = pods(rollout(record(version("replies-a", Stage.STABLE), runtime=runtime)))
    client.V1PodSpec.model_validate(pod)


def test_a_models_host_asks_for_a_key() -> None:
    for runtime, name in (("vllm", "VLLM_API_KEY"), ("transformers", "TENON_API_KEY")):
        objects = served(record(runtime=runtime))
        assert (SERVE, "ExternalSecret", "replies-key") in objects
        container = objects[SERVE, "Rollout", "replies"]["spec"]["template"]["spec"]["containers"][0]
        assert name in {variable["name"] for variable in container["env"]}


@pytest.mark.requirement("B37")
def test_a_server_that_ends_answers_until_no_gateway_sends_to_it() -> None:
    pod = rollout(record())["template"]["spec"]
    farewell = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert 0 < farewell < pod["terminationGracePeriodSeconds"]


@pytest.mark.requirement("B37")
def test_no_drain_takes_two_servers_at_once_and_none_waits_for_ever() -> None:
    body = served(record(replicas=1))[SERVE, "PodDisruptionBudget", "replies"]
    assert body["spec"]["maxUnavailable"] == 1
    assert "minAvailable" not in body["spec"]
    client.V1PodDisruptionBudget.model_validate(body)


def test_services_and_budgets_select_the_pods_of_the_rollout() -> None:
    labels = rollout(record())["template"]["metadata"]["labels"]
    selectors = [
        rollout(record())["selector"]["matchLabels"],
        spec(record(), "Service", "replies-stable")["selector"],
        spec(record(), "Service", "replies-canary")["selector"],
        spec(record(), "PodDisruptionBudget")["selector"]["matchLabels"],
        spec(record(), "PodMonitor")["selector"]["matchLabels"],
    ]
    assert all(each.items() <= labels.items() for each in selectors)
