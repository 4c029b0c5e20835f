"""What is watched: every service is scraped, every series has a source, GPU time has an owner."""

import json
import re
from typing import Any

import pytest

from app.contract import metrics
from app.contract.internal import METRICS_PORT
from generators import naming
from generators.cluster import cilium, monitoring
from generators.cluster.dashboards import DASHBOARDS, PlatformDashboards
from generators.cluster.deployments import SERVICES, deployment
from generators.cluster.monitoring import PlatformMonitoring, alerts, recordings, services_monitor
from generators.tests.samples import made, platform

Body = dict[str, Any]
RECORDED = {rule["record"] for rule in recordings()}
OURS = {value for name, value in vars(metrics).items() if name.isupper() and isinstance(value, str)}
# Of components: NVIDIA's exporter, Kueue, Argo Rollouts.
OF_COMPONENTS = re.compile(r"DCGM_FI_DEV_GPU_UTIL|kueue_[a-z_]+|rollout_info|analysis_run_info")
QUERIES = [
    *(rule["expr"] for rule in (*recordings(), *alerts())),
    *(panel.query for _, panels in DASHBOARDS.values() for panel in panels),
]


def test_every_service_is_scraped_on_the_port_it_names() -> None:
    spec = services_monitor()["spec"]
    (endpoint,) = spec["podMetricsEndpoints"]
    for service in SERVICES:
        template = deployment(service, platform())["spec"]["template"]
        assert spec["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        ports = {port["name"]: port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
        assert ports[endpoint["port"]] == METRICS_PORT


@pytest.mark.parametrize("query", QUERIES)
def test_every_series_is_named_by_the_contract_recorded_or_a_components(query: str) -> None:
    series = set(re.findall(r"\b(?:tenon[_:][a-z0-9_:]+|kueue_\w+|DCGM\w+|rollout_\w+|analysis_\w+)", query))
    assert series
    known = OURS | RECORDED | {f"{name}_bucket" for name in OURS}
    assert not {name for name in series if name not in known and not OF_COMPONENTS.fullmatch(name)}


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_is_closed_where_it_was_opened(query: str) -> None:
    plain = re.sub(r'"[^"]*"', "", query)
    assert all(plain.count(first) == plain.count(last) for first, last in ("()", "[]", "{}"))


def test_every_name_of_the_contract_is_looked_at_by_somebody() -> None:
    assert not {name for name in OURS if not any(name in query for query in QUERIES)}


@pytest.mark.requirement("C59")
def test_gpu_time_belongs_to_the_tenant_whose_pod_holds_the_gpu() -> None:
    pattern = re.search(r'"exported_namespace", "([^"]+)"\)', recordings()[0]["expr"])
    assert pattern is not None
    owners = {
        name: re.fullmatch(pattern[1], name) for name in ("acme-train", "a-b-serve", "monitoring", "tenon-system")
    }
    assert {name: found[1] for name, found in owners.items() if found} == {"acme-train": "acme", "a-b-serve": "a-b"}


@pytest.mark.requirement("C59")
def test_gpu_seconds_are_the_gpus_held_times_the_time_between_looks() -> None:
    group = made(PlatformMonitoring, platform=platform())[naming.MONITORING_NAMESPACE, "PrometheusRule", "gpus"]
    (found,) = group["spec"]["groups"]
    (seconds,) = [rule["expr"] for rule in found["rules"] if rule["record"] == monitoring.GPU_SECONDS]
    assert found["interval"] == "60s"
    assert seconds == f"sum_over_time({monitoring.GPUS_HELD}[1h]) * 60"


def test_every_alert_says_what_is_wrong_and_how_urgent_it_is() -> None:
    for alert in alerts():
        assert alert["annotations"]["summary"]
        assert alert["labels"]["severity"] in {"page", "ticket"}
        assert not set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"])) - {"service", "tenant"}


@pytest.mark.parametrize("component", cilium.COMPONENTS)
def test_prometheus_reaches_the_components_it_watches(component: tuple[str, str, int]) -> None:
    namespace, account, port = component
    (policy, *_) = cilium.platform_policies(platform())[naming.MONITORING_NAMESPACE]
    assert [
        rule
        for rule in policy["spec"]["egress"]
        if rule.get("toPorts") == [{"ports": [{"port": str(port), "protocol": "TCP"}]}]
        and namespace in str(rule["toEndpoints"])
        and account in str(rule["toEndpoints"])
    ]


def test_dashboards_are_found_by_grafana_and_their_panels_do_not_overlap() -> None:
    objects = made(PlatformDashboards, platform=platform())
    assert len(objects) == len(DASHBOARDS)
    for (namespace, _, _), body in objects.items():
        assert namespace == naming.MONITORING_NAMESPACE
        assert body["metadata"]["labels"]["grafana_dashboard"] == "1"
        (text,) = body["data"].values()
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in json.loads(text)["panels"]]
        assert len(places) == len(set(places))
