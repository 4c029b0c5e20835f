"""The port that policies open for metrics of steps, and who reads it."""

from typing import Any

import pytest

from app.contract.internal import METRICS_PORT
from generators.foundation.network import training_policies
from generators.tests.samples import TRAIN, made, platform, runner, sample_tenant
from generators.tests.trained import ONE, carried, templates_of
from generators.training.monitoring import TrainingMonitor, pod_monitor

PORT = {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"}


def endpoint() -> dict[str, Any]:
    (found,) = pod_monitor("acme")["spec"]["podMetricsEndpoints"]
    return dict(found)


@pytest.mark.requirement("B39")
def test_what_prometheus_may_reach_in_training_is_what_it_is_told_to_read() -> None:
    assert set(made(TrainingMonitor, tenant=sample_tenant())) == {(TRAIN, "PodMonitor", "steps")}
    (scrape,) = [
        body for body, _ in training_policies(sample_tenant(), platform()) if "scrape" in str(body["metadata"])
    ]
    assert f"'port': '{METRICS_PORT}'" in str(scrape)
    assert endpoint()["port"] == PORT["name"]


def under(key: str, value: Any) -> list[Any]:
    """What stands under the key, at any depth."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    found = [value[key]] if isinstance(value, dict) and key in value else []
    return found + [each for item in items for each in under(key, item)]


@pytest.mark.parametrize("name", ["jobset", "trainjob", "rayjob"])
def test_every_step_names_the_port_and_is_selected(name: str) -> None:
    templates = templates_of(sample_tenant(**runner(name)))
    (spec,) = {each["metadata"]["name"]: each["spec"] for each in templates.finetune.values()}.values()
    selected = pod_monitor("acme")["spec"]["selector"]["matchLabels"]
    assert under("ports", spec["templates"]) == [[PORT], [PORT]]  # prepare and publish
    assert spec["podMetadata"]["labels"] == selected
    carriers = [carried(ONE, name), *templates.needed]
    assert [PORT in ports for ports in under("ports", carriers)] in ([True], [True, True])
    assert selected in under("labels", [each["spec"] for each in carriers])


def test_a_step_cannot_say_that_its_figures_are_another_tenants() -> None:
    assert endpoint()["honorLabels"] is False
    assert endpoint()["relabelings"] == [{"targetLabel": "tenant", "replacement": "acme"}]
