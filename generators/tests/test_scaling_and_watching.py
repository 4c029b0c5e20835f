"""More servers while requests wait, what Prometheus reads, and what calls a person."""

import re
from typing import Any

import pytest
from kubernetes import client

from generators.serving import monitoring, scaling
from generators.serving.server import Served
from generators.tests.samples import SERVE, platform, record, sample_tenant
from generators.tests.served import rollout, served, spec

HPA = {"autoscale": {"by": "hpa", "maxReplicas": 4, "waitingRequests": 6}}
KEDA = {"autoscale": {"by": "keda", "maxReplicas": 4, "waitingRequests": 6}}


def alerts(**serving: Any) -> dict[str, dict[str, Any]]:
    (group,) = spec(record(**serving), "PrometheusRule")["groups"]
    return {rule["alert"]: rule for rule in group["rules"] if "alert" in rule}


def test_a_horizontal_pod_autoscaler_scales_the_rollout_by_what_waits() -> None:
    body = served(record(replicas=2, **HPA))[SERVE, "HorizontalPodAutoscaler", "replies"]
    client.V2HorizontalPodAutoscaler.model_validate(body)
    assert body["spec"]["scaleTargetRef"] == {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "name": "replies",
    }
    assert (body["spec"]["minReplicas"], body["spec"]["maxReplicas"]) == (2, 4)
    (metric,) = body["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == scaling.WAITING
    assert metric["pods"]["target"] == {"type": "AverageValue", "averageValue": "6"}


def test_keda_scales_the_rollout_by_the_same_figure() -> None:
    body = spec(record(replicas=2, **KEDA), "ScaledObject")
    assert body["scaleTargetRef"]["name"] == "replies"
    assert (body["minReplicaCount"], body["maxReplicaCount"]) == (2, 4)
    (trigger,) = body["triggers"]
    assert trigger["metadata"]["threshold"] == "6"
    assert trigger["metadata"]["query"] == f'sum({scaling.WAITING}{{namespace="acme-serve",model="replies"}})'


@pytest.mark.parametrize("scaled", [HPA, KEDA])
def test_who_is_scaled_has_no_number_of_replicas_in_git_and_never_none(scaled: dict[str, Any]) -> None:
    assert "replicas" not in rollout(record(**scaled))
    assert "1" in re.findall(r"'min\w+': (\d)", str(served(record(**scaled))))


def test_without_autoscaling_the_number_stands_in_git() -> None:
    assert rollout(record(replicas=3))["replicas"] == 3
    assert not [key for key in served(record()) if key[1] in {"HorizontalPodAutoscaler", "ScaledObject"}]


@pytest.mark.parametrize("runtime", ["vllm", "transformers", "triton"])
def test_the_figure_that_scales_is_recorded_for_every_runtime(runtime: str) -> None:
    (group,) = spec(record(runtime=runtime), "PrometheusRule")["groups"]
    (recorded,) = [rule for rule in group["rules"] if "record" in rule]
    assert recorded["record"] == scaling.WAITING
    assert recorded["expr"].startswith("max by (namespace, pod, model) (")


def test_prometheus_reads_the_metrics_of_every_server_and_nothing_else_of_it() -> None:
    (endpoint,) = spec(record(), "PodMonitor")["podMetricsEndpoints"]
    ports = rollout(record())["template"]["spec"]["containers"][0]["ports"]
    assert endpoint["path"] == "/metrics"
    assert endpoint["port"] in {port["name"] for port in ports}
    assert "namespaceSelector" not in spec(record(), "PodMonitor")  # the monitor's own namespace alone


def test_a_server_cannot_say_that_its_figures_are_another_tenants() -> None:
    (endpoint,) = spec(record(), "PodMonitor")["podMetricsEndpoints"]
    written = {each["targetLabel"]: each for each in endpoint["relabelings"]}
    assert endpoint["honorLabels"] is False
    assert written["tenant"] == {"targetLabel": "tenant", "replacement": "acme"}
    assert written["model"] == {"targetLabel": "model", "replacement": "replies"}


@pytest.mark.requirement("B39")
def test_figures_are_told_apart_by_version_and_pod_template() -> None:
    (endpoint,) = spec(record(), "PodMonitor")["podMetricsEndpoints"]
    sources = {each["targetLabel"]: each["sourceLabels"] for each in endpoint["relabelings"] if "sourceLabels" in each}
    assert sources == {
        "version": ["__meta_kubernetes_pod_label_tenon_dev_version"],
        "rollouts_pod_template_hash": ["__meta_kubernetes_pod_label_rollouts_pod_template_hash"],
    }


def test_a_person_is_called_for_errors_slowness_saturation_and_a_canary_without_requests() -> None:
    assert alerts().keys() == {"ModelErrors", "ModelSlow", "ModelSaturated", "CanaryWithoutData"}
    assert {rule["labels"]["tenant"] for rule in alerts().values()} == {"acme"}


@pytest.mark.parametrize("runtime", ["vllm", "transformers", "triton"])
def test_every_alert_is_held_to_the_tenants_namespace_and_the_model(runtime: str) -> None:
    for rule in alerts(runtime=runtime).values():
        selectors = re.findall(r"\{([^{}]*)\}", rule["expr"])
        assert selectors
        assert all(each.startswith('namespace="acme-serve",model="replies"') for each in selectors), rule["expr"]


def test_no_text_that_a_tenant_words_freely_is_in_an_alert_which_prometheus_reads_as_a_template() -> None:
    tenant = sample_tenant(displayName="Worded freely", models={"replies": record()})
    assert "Worded" not in str(monitoring.rules(Served(tenant, platform(), "replies")))
