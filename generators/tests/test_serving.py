from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes import client

from app.contract.models import CanaryStrategy, ModelRecord, Serving, Stage
from generators.serving.model import ModelServing
from generators.serving.rollout import peak_gpus, peak_pods, rollout_steps
from generators.tests.samples import SERVE, made, platform, pods, record, sample_tenant, version

DEFAULT = (5, 10, 25, 50, 100)
WITH_75 = (5, 10, 25, 50, 75, 100)
weights = st.sets(st.integers(1, 99), max_size=8).map(lambda chosen: (*sorted(chosen), 100))


def serving(replicas: int, chosen: tuple[int, ...] = DEFAULT, **changes: Any) -> Serving:
    return Serving.model_validate({"replicas": replicas, "canary": {"weights": chosen}, **changes})


def served(model: ModelRecord) -> dict[tuple[str, str, str], dict[str, Any]]:
    tenant = sample_tenant(models={"replies": model})
    return made(ModelServing, tenant=tenant, platform=platform(), model="replies")


def rollout(model: ModelRecord) -> dict[str, Any]:
    return dict(served(model)[SERVE, "Rollout", "replies"]["spec"])


def command(model: ModelRecord) -> str:
    return " ".join(rollout(model)["template"]["spec"]["containers"][0]["command"])


def test_manual_approval_waits_after_the_first_weight_and_before_all() -> None:
    steps = rollout_steps(CanaryStrategy(weights=DEFAULT))
    assert [step["setWeight"] for step in steps if "setWeight" in step] == [*DEFAULT]
    assert [steps[at - 1]["setWeight"] for at, step in enumerate(steps) if step == {"pause": {}}] == [5, 50]


def test_automatic_approval_waits_for_nobody() -> None:
    assert {"pause": {}} not in rollout_steps(CanaryStrategy(weights=DEFAULT, approval="auto"))


def test_a_single_weight_is_one_step() -> None:
    assert rollout_steps(CanaryStrategy(weights=(100,))) == [{"setWeight": 100}]


@pytest.mark.parametrize(
    ("chosen", "replicas", "peak"),
    [
        (DEFAULT, 0, 0),
        (DEFAULT, 1, 2),
        (DEFAULT, 2, 3),
        (DEFAULT, 4, 6),
        (DEFAULT, 8, 12),
        (WITH_75, 4, 5),
        (WITH_75, 8, 10),
    ],
)
def test_the_peak_is_what_argo_rollouts_was_seen_to_use(chosen: tuple[int, ...], replicas: int, peak: int) -> None:
    assert peak_pods(serving(replicas, chosen)) == peak


def test_every_pod_of_the_peak_brings_its_gpus() -> None:
    assert peak_gpus(serving(2, gpusPerReplica=4)) == 12


def test_blue_green_stands_twice() -> None:
    assert peak_gpus(serving(3, strategy="blueGreen")) == 6


@settings(max_examples=50)
@given(weights, st.integers(1, 64))
def test_a_peak_is_more_than_the_replicas_and_at_most_twice_as_many(chosen: tuple[int, ...], replicas: int) -> None:
    assert replicas < peak_pods(serving(replicas, chosen)) <= 2 * replicas


@pytest.mark.parametrize("runtime", ["vllm", "transformers"])
def test_without_a_promoted_version_the_base_is_served_under_the_models_name(runtime: str) -> None:
    words = command(record(version("replies-a", Stage.CANDIDATE), runtime=runtime))
    assert "replies-a" not in words
    assert words.endswith("replies")


@pytest.mark.parametrize("runtime", ["vllm", "transformers"])
def test_a_version_is_served_under_its_own_name_and_the_models(runtime: str) -> None:
    words = command(record(version("replies-a", Stage.STABLE), runtime=runtime))
    assert "replies-a=/models/version/adapter" in words
    assert "replies=/models/version/adapter" in words


def test_a_canary_in_the_record_changes_the_pods() -> None:
    stable = version("replies-a", Stage.STABLE)
    before, after = record(stable), record(version("replies-b", Stage.CANARY), stable)
    assert rollout(before)["template"] != rollout(after)["template"]
    assert "replies-b" in command(after)


def test_a_canary_that_became_stable_changes_no_pod() -> None:
    canary = record(version("replies-b", Stage.CANARY), version("replies-a", Stage.STABLE))
    stable = record(version("replies-b", Stage.STABLE), version("replies-a", Stage.RETIRED))
    assert rollout(canary)["template"] == rollout(stable)["template"]


def test_weights_are_fetched_by_the_digest_that_git_states() -> None:
    fetched = rollout(record(version("replies-a", Stage.STABLE)))["template"]["spec"]["initContainers"]
    assert [container["command"][-2:] for container in fetched] == [["--manifest", "a" * 64], ["--adapter", "b" * 64]]


def test_adapters_cannot_be_loaded_while_the_server_runs() -> None:
    assert "RUNTIME_LORA" not in str(rollout(record(version("replies-a", Stage.STABLE))))


def test_the_gpu_of_a_replica_stands_in_its_limits() -> None:
    container = rollout(record(gpusPerReplica=2))["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"


def test_a_replica_without_a_gpu_asks_for_no_gpu_node() -> None:
    pod = rollout(record(runtime="transformers", gpusPerReplica=0))["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"] == {"cpu": "2", "memory": "8Gi"}
    assert "nodeSelector" not in pod


def test_the_traffic_plugin_is_given_no_namespace() -> None:
    plugins = rollout(record())["strategy"]["canary"]["trafficRouting"]["plugins"]
    assert plugins == {"argoproj-labs/gatewayAPI": {"httpRoute": "replies"}}


def test_the_route_sends_all_to_the_stable_version_under_the_tenants_host() -> None:
    spec = served(record())[SERVE, "HTTPRoute", "replies"]["spec"]
    assert spec["hostnames"] == ["replies.acme.models.example"]
    backends = spec["rules"][0]["backendRefs"]
    assert [(each["name"], each["weight"], each["group"]) for each in backends] == [
        ("replies-stable", 100, ""),
        ("replies-canary", 0, ""),
    ]


def test_every_query_of_the_analysis_is_held_to_the_tenants_namespace() -> None:
    for metric in _metrics(record()):
        query = metric["provider"]["prometheus"]["query"]
        assert query.count("{namespace=") == query.count('{namespace="acme-serve"') == query.count("[5m]")


def test_no_data_is_neither_success_nor_failure() -> None:
    for metric in _metrics(record()):
        assert metric["successCondition"].startswith("len(result) > 0 && !isNaN(result[0])")
        assert metric["failureCondition"] == "false" or metric["failureCondition"].startswith("len(result) > 0 &&")


def test_a_canary_with_too_few_requests_waits_for_a_person() -> None:
    enough = next(metric for metric in _metrics(record()) if metric["name"] == "enough-requests")
    assert enough["failureCondition"] == "false"


def test_a_blue_green_roll_out_has_a_preview_and_no_weights() -> None:
    objects = served(record(strategy="blueGreen"))
    assert objects[SERVE, "Rollout", "replies"]["spec"]["strategy"]["blueGreen"]["previewService"] == "replies-canary"
    assert (SERVE, "AnalysisTemplate", "replies") not in objects


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


def _metrics(model: ModelRecord) -> list[dict[str, Any]]:
    return list(served(model)[SERVE, "AnalysisTemplate", "replies"]["spec"]["metrics"])
