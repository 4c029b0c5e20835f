"""What versions are measured by: every condition means what it says, no query leaves the tenant's namespace."""

import math
import re
from typing import Any

import pytest

from app.contract.models import Stage
from generators.serving.runtimes import runtime as runtime_of
from generators.serving.server import Served
from generators.tests.conditions import ConditionError, holds, phase
from generators.tests.samples import SERVE, platform, record, sample_tenant, version
from generators.tests.served import served, spec

RUNTIMES = ("vllm", "transformers", "triton")
STRATEGIES: tuple[dict[str, Any], ...] = ({}, {"strategy": "blueGreen"}, {"experiment": {"duration": "1h"}})
LABELS = re.compile(r"\{([^{}]*)\}")


def templates(**serving: Any) -> list[dict[str, Any]]:
    objects = served(record(version("replies-a", Stage.STABLE), **serving))
    return [body for (_, kind, _), body in objects.items() if kind == "AnalysisTemplate"]


def metrics(**serving: Any) -> dict[str, dict[str, Any]]:
    return {metric["name"]: metric for body in templates(**serving) for metric in body["spec"]["metrics"]}


def every_metric() -> list[dict[str, Any]]:
    made = [metrics(runtime=runtime, **strategy) for runtime in RUNTIMES for strategy in STRATEGIES]
    return [metric for each in made for metric in each.values()]


def said(metric: dict[str, Any], *result: float) -> str:
    return phase(metric["successCondition"], metric["failureCondition"], result)


def test_every_query_of_every_template_is_held_to_the_tenants_namespace_and_one_version() -> None:
    for metric in every_metric():
        query = metric["provider"]["prometheus"]["query"].replace("{{args.", "<").replace("-hash}}", ">")
        assert "{" in query
        for selector in LABELS.findall(query):
            assert selector.startswith('namespace="acme-serve",rollouts_pod_template_hash="<'), query
            assert selector.count("namespace") == 1


def test_every_metric_asks_the_platforms_prometheus_and_nothing_else() -> None:
    for metric in every_metric():
        assert metric["provider"].keys() == {"prometheus"}
        assert metric["provider"]["prometheus"].keys() == {"address", "query"}
        assert metric["provider"]["prometheus"]["address"] == "http://prometheus.monitoring.svc.cluster.local:9090"


@pytest.mark.parametrize("result", [(), (math.nan,), (math.inf,)])
def test_no_data_is_neither_success_nor_failure_nor_error(result: tuple[float, ...]) -> None:
    assert {said(metric, *result) for metric in every_metric()} == {"Inconclusive"}


@pytest.mark.requirement("B42")
def test_a_canary_that_fails_five_in_a_hundred_is_stopped_with_nobody_watching() -> None:
    errors = metrics()["error-share-difference"]
    assert said(errors, 0.05) == "Failed"
    assert (errors["failureLimit"], errors["interval"]) == (2, "1m")


@pytest.mark.parametrize(
    ("name", "value", "answer"),
    [
        ("first-token-p95-ratio", 1.2, "Successful"),
        ("first-token-p95-ratio", 1.3, "Failed"),
        ("inter-token-p95-ratio", 1.2, "Successful"),
        ("inter-token-p95-ratio", 1.3, "Failed"),
        ("error-share-difference", 0.01, "Successful"),
        ("enough-requests", 20, "Successful"),
        ("enough-requests", 19, "Inconclusive"),
        ("cache-share", 0.9, "Successful"),
        ("cache-share", 0.99, "Inconclusive"),
    ],
)
def test_a_canary_is_judged_against_the_stable_version(name: str, value: float, answer: str) -> None:
    assert said(metrics()[name], value) == answer


def test_too_few_requests_or_a_full_cache_wait_for_a_person_and_abort_nothing() -> None:
    for name in ("enough-requests", "cache-share"):
        assert metrics()[name]["failureCondition"] == "false"
        assert metrics()[name]["inconclusiveLimit"] >= 0


def test_the_analysis_of_a_switch_ends_and_that_of_a_canary_goes_on_with_it() -> None:
    assert all("count" in metric for metric in metrics(strategy="blueGreen").values())
    assert all("count" not in metric for metric in metrics().values())


def test_a_blue_green_version_is_never_measured_by_the_traffic_of_the_one_before() -> None:
    queries = [metric["provider"]["prometheus"]["query"] for metric in metrics(strategy="blueGreen").values()]
    assert not [query for query in queries if "stable-hash" in query]


def test_a_version_with_a_dead_server_is_not_promoted() -> None:
    up = metrics(strategy="blueGreen")["servers-up"]
    assert (said(up, 1), said(up, 0)) == ("Successful", "Failed")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_template_asks_for_series_under_the_names_of_the_runtime(runtime: str) -> None:
    model = record(runtime=runtime)
    named = runtime_of(Served(sample_tenant(models={"replies": model}), platform(), "replies")).metrics
    text = str(spec(model, "AnalysisTemplate"))
    assert all(name in text for name in (named.first_token, named.inter_token, named.requests, named.cache) if name)


def test_a_template_names_every_argument_that_its_queries_use() -> None:
    for strategy in STRATEGIES:
        for body in templates(**strategy):
            used = set(re.findall(r"\{\{args\.([a-z-]+)\}\}", str(body["spec"]["metrics"])))
            assert used <= {each["name"] for each in body["spec"]["args"]} == {"canary-hash", "stable-hash"}


def test_what_is_compared_is_the_latest_pod_template_and_the_stable_one() -> None:
    body = served(record())[SERVE, "Rollout", "replies"]["spec"]["strategy"]["canary"]["analysis"]
    given = {each["name"]: each["valueFrom"]["podTemplateHashValue"] for each in body["args"]}
    assert given == {"canary-hash": "Latest", "stable-hash": "Stable"}


@pytest.mark.parametrize(
    "text", ["result[0] <", "result[0] <= x", "len(result) > 0 &", "(true", "true true", "result > 1"]
)
def test_a_slip_in_a_condition_is_noticed(text: str) -> None:
    with pytest.raises((ConditionError, ValueError)):
        holds(text, (1.0,))


def test_a_condition_that_forgets_the_empty_result_is_noticed() -> None:
    with pytest.raises(ConditionError, match="empty"):
        holds("result[0] <= 1", ())
