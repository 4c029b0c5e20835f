"""The metric that a HorizontalPodAutoscaler asks for is served, by an add-on that may ask Prometheus for it."""

import re
from typing import Any

from generators.cluster import cilium, prometheus
from generators.cluster.addons import addons
from generators.tests.samples import SERVE, platform, record
from generators.tests.served import served, spec

HPA = {"autoscale": {"by": "hpa", "maxReplicas": 4, "waitingRequests": 6}}


def adapter_rule() -> dict[str, Any]:
    (rule,) = prometheus.adapter_values()["rules"]["custom"]
    return dict(rule)


def test_the_adapter_serves_what_the_autoscaler_asks_for_and_nothing_else() -> None:
    (metric,) = served(record(**HPA))[SERVE, "HorizontalPodAutoscaler", "replies"]["spec"]["metrics"]
    name, _ = adapter_rule()["seriesQuery"].split("{")
    assert metric["pods"]["metric"]["name"] == name
    assert prometheus.adapter_values()["rules"]["default"] is False


def test_the_series_has_the_labels_by_which_the_adapter_finds_a_tenants_pods() -> None:
    (group,) = spec(record(**HPA), "PrometheusRule")["groups"]
    (recorded,) = [rule for rule in group["rules"] if "record" in rule]
    kept = re.findall(r"max by \(([a-z, ]+)\)", recorded["expr"])[0].split(", ")
    assert adapter_rule()["resources"]["overrides"].keys() <= set(kept)
    assert "<<.LabelMatchers>>" in adapter_rule()["metricsQuery"]


def test_prometheus_answers_the_adapter() -> None:
    (addon,) = [each for each in addons(platform()) if each.name == "prometheus-adapter"]
    asked = {"k8s:io.kubernetes.pod.namespace": addon.namespace, "k8s:io.cilium.k8s.policy.serviceaccount": addon.name}
    (policy,) = [body for body in cilium.platform_policies(platform())["monitoring"] if name_of(body) == "prometheus"]
    assert values_of(asked) <= values_of(policy)


def name_of(body: Any) -> str:
    return str(body["metadata"]["name"])


def values_of(value: Any) -> set[str]:
    """Every text in a body, at any depth."""
    if isinstance(value, dict):
        return {text for each in value.values() for text in values_of(each)}
    if isinstance(value, list | tuple):
        return {text for each in value for text in values_of(each)}
    return {str(value)}
