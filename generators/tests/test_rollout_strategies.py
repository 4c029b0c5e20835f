"""How a new version takes over: both canary modes, blue-green, in place; and the pods that each needs at its peak."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contract.models import CanaryStrategy, Serving, Stage
from generators.rendering import Rendering
from generators.serving.rollout import peak_gpus, peak_pods, rollout_steps
from generators.tests.samples import SERVE, record, version
from generators.tests.served import command, option, rollout, served, serving, spec

DEFAULT = (5, 10, 25, 50, 100)
WITH_75 = (5, 10, 25, 50, 75, 100)
weights = st.sets(st.integers(1, 99), max_size=8).map(lambda chosen: (*sorted(chosen), 100))


def with_weights(chosen: tuple[int, ...], replicas: int) -> Serving:
    return serving(replicas, canary={"weights": chosen, "approval": "auto"})


def test_manual_approval_waits_after_the_first_weight_and_before_all() -> None:
    steps = rollout(record(canary={"approval": "manual"}))["strategy"]["canary"]["steps"]
    assert [step["setWeight"] for step in steps if "setWeight" in step] == [*DEFAULT]
    assert [steps[at - 1]["setWeight"] for at, step in enumerate(steps) if step == {"pause": {}}] == [5, 50]


def test_automatic_approval_waits_for_nobody() -> None:
    steps = rollout(record(canary={"approval": "auto"}))["strategy"]["canary"]["steps"]
    assert {"pause": {}} not in steps
    assert sum("pause" in step for step in steps) == len(DEFAULT) - 1


@pytest.mark.parametrize(
    ("file", "waits"), [("acme-serve/argoproj.io_rollout_replies", 2), ("globex-serve/argoproj.io_rollout_extract", 0)]
)
def test_both_modes_of_a_canary_are_rendered(rendering: Rendering, file: str, waits: int) -> None:
    (text,) = [text for path, text in rendering.files.items() if path.endswith(f"{file}.yaml")]
    assert text.count("pause: {}") == waits
    assert text.count("setWeight:") >= len(DEFAULT)


def test_own_weights_are_the_steps() -> None:
    steps = rollout_steps(CanaryStrategy(weights=(20, 100), approval="auto"))
    assert steps == [{"setWeight": 20}, {"pause": {"duration": "10m"}}, {"setWeight": 100}]


def test_a_single_weight_is_one_step() -> None:
    assert rollout_steps(CanaryStrategy(weights=(100,))) == [{"setWeight": 100}]


@pytest.mark.requirement("B42")
def test_a_canary_is_analysed_from_its_first_weight_to_its_last() -> None:
    body = rollout(record())["strategy"]["canary"]
    assert body["analysis"]["startingStep"] == 1
    assert body["analysis"]["templates"] == [{"templateName": "replies"}]
    assert (SERVE, "AnalysisTemplate", "replies") in served(record())


def test_the_stable_version_shrinks_as_its_traffic_goes() -> None:
    body = rollout(record())["strategy"]["canary"]
    assert body["dynamicStableScale"] is True
    assert body.keys().isdisjoint({"scaleDownDelaySeconds", "abortScaleDownDelaySeconds", "maxSurge", "maxUnavailable"})


def test_a_roll_out_that_makes_no_progress_is_aborted_after_weights_could_have_loaded() -> None:
    body = rollout(record())
    probe = body["template"]["spec"]["containers"][0]["startupProbe"]
    assert body["progressDeadlineAbort"] is True
    assert (
        body["progressDeadlineSeconds"] > probe["periodSeconds"] * probe["failureThreshold"] + body["minReadySeconds"]
    )


def test_a_revert_goes_through_the_weights_because_a_window_would_need_twice_the_pods() -> None:
    assert "rollbackWindow" not in rollout(record())


def test_a_blue_green_version_is_analysed_before_and_after_the_switch() -> None:
    objects = served(record(strategy="blueGreen"))
    body = objects[SERVE, "Rollout", "replies"]["spec"]["strategy"]["blueGreen"]
    assert (body["activeService"], body["previewService"]) == ("replies-stable", "replies-canary")
    for key, name in (("prePromotionAnalysis", "replies-preview"), ("postPromotionAnalysis", "replies-active")):
        assert body[key]["templates"] == [{"templateName": name}]
        assert (SERVE, "AnalysisTemplate", name) in objects
    assert (SERVE, "AnalysisTemplate", "replies") not in objects


@pytest.mark.parametrize(("approval", "alone"), [("manual", False), ("auto", True)])
def test_a_blue_green_version_is_promoted_by_a_person_unless_approval_is_auto(approval: str, *, alone: bool) -> None:
    body = rollout(record(strategy="blueGreen", canary={"approval": approval}))["strategy"]["blueGreen"]
    assert body["autoPromotionEnabled"] is alone
    assert body["scaleDownDelaySeconds"] >= 30
    assert body["abortScaleDownDelaySeconds"] > 0


ADAPTER = {"canary": {"level": "adapter", "adapterShare": 10}}


@pytest.mark.requirement("C58")
def test_an_adapter_level_canary_holds_both_versions_in_one_server() -> None:
    words = command(record(version("replies-b", Stage.CANARY), version("replies-a", Stage.STABLE), **ADAPTER))
    modules = words.split("--lora-modules ")[1].split()
    assert modules == [
        "replies-a=/models/versions/replies-a/adapter",
        "replies-b=/models/versions/replies-b/adapter",
        "replies=/models/versions/replies-a/adapter",
    ]
    assert option(words, "--max-loras") == "3"


@pytest.mark.requirement("C58")
def test_an_adapter_level_canary_needs_no_second_gpu_and_splits_no_traffic() -> None:
    body = rollout(record(**ADAPTER))["strategy"]["canary"]
    assert (body["maxSurge"], body["maxUnavailable"]) == (0, 1)
    assert body.keys().isdisjoint({"trafficRouting", "steps", "analysis"})
    assert peak_pods(serving(1, **ADAPTER)) == 1


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
    assert peak_pods(with_weights(chosen, replicas)) == peak


@pytest.mark.parametrize(
    ("changes", "peak"),
    [
        ({"strategy": "blueGreen"}, 6),
        ({"strategy": "blueGreen", "runtime": "ray"}, 6),
        ({"autoscale": {"maxReplicas": 4}}, 6),
        ({"strategy": "blueGreen", "autoscale": {"maxReplicas": 5}}, 10),
        ({"ab": {"version": "replies-b", "replicas": 2}}, 5 + 3),
        ({"experiment": {"replicas": 2}}, 5 + 4),
        (ADAPTER, 3),
        ({**ADAPTER, "autoscale": {"maxReplicas": 4}}, 4),
    ],
)
def test_every_strategy_states_its_peak(changes: dict[str, Any], peak: int) -> None:
    assert peak_pods(serving(3, **changes)) == peak


def test_every_pod_of_the_peak_brings_its_gpus() -> None:
    assert peak_gpus(serving(2, gpusPerReplica=4)) == 12


def simulated_peak(chosen: tuple[int, ...], replicas: int) -> int:
    """Pods of the controller, one reconciliation at a time: up through the weights, and back from every one.

    After Argo Rollouts 1.10, utils/replicaset/canary.go: the canary has the pods of the desired weight, the stable
    version those of the higher of its desired and its present weight; after an abort the canary's next weight is the
    highest with fewer pods than it has, and none shrinks before its traffic went.
    """

    def pods_of(weight: int) -> int:
        return -(-weight * replicas // 100)

    def moved(present: int, desired: int) -> list[int]:
        """Pods while the canary's weight moves, once before and once after the traffic follows."""
        growing = max(pods_of(desired), pods_of(present)) + max(pods_of(100 - desired), pods_of(100 - present))
        if desired > present:
            growing = pods_of(desired) + max(pods_of(100 - desired), pods_of(100 - present))
        return [growing, pods_of(desired) + pods_of(100 - desired)]

    seen = [pods for before, weight in pairwise((0, *chosen)) for pods in moved(before, weight)]
    for reached in chosen[:-1]:  # at the last weight the canary is the stable version
        present = reached
        while present:
            lower = [weight for weight in chosen if pods_of(weight) < pods_of(present)]
            desired = max(lower, default=0)
            seen += moved(present, desired)
            present = desired
    return max(seen)


@settings(max_examples=100)
@given(weights, st.integers(1, 64))
def test_no_move_of_the_controller_needs_more_pods_than_the_peak(chosen: tuple[int, ...], replicas: int) -> None:
    assert simulated_peak(chosen, replicas) == peak_pods(with_weights(chosen, replicas))


@settings(max_examples=50)
@given(weights, st.integers(1, 64))
def test_a_peak_is_more_than_the_replicas_and_at_most_twice_as_many(chosen: tuple[int, ...], replicas: int) -> None:
    assert replicas < peak_pods(with_weights(chosen, replicas)) <= 2 * replicas


def test_services_that_rollouts_points_at_are_rendered() -> None:
    for changes in ({}, {"strategy": "blueGreen"}, ADAPTER):
        body = next(iter(rollout(record(**changes))["strategy"].values()))
        names = {body[key] for key in body if key.endswith("Service")}
        assert names == {"replies-stable", "replies-canary"}
        assert all(spec(record(**changes), "Service", name) for name in names)
