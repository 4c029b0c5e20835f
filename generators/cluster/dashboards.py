"""Grafana's dashboards as ConfigMaps, which its sidecar finds by label. Data, so that no click is lost."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.contract import metrics
from generators import naming
from generators.cluster import monitoring
from generators.inputs.platform import Platform
from generators.manifest import Construct, Place, Wave, manifest

SCHEMA_VERSION = 39  # Grafana 11 and newer read it
FOUND_BY = {"grafana_dashboard": "1"}
_WIDTH, _HEIGHT, _COLUMNS = 12, 8, 2
_SOURCE = {"type": "prometheus", "uid": "${source}"}


@dataclass(frozen=True)
class Panel:
    """One graph. unit: Grafana's name of it; legend: the label that tells the lines apart."""

    title: str
    query: str
    unit: str = "short"
    legend: str = "tenant"


def _slowest(histogram: str, label: str) -> str:
    """The 99th percentile of a histogram over five minutes, by one of its labels."""
    return f"histogram_quantile(0.99, sum by (le, {label}) (rate({histogram}_bucket[5m])))"


DASHBOARDS: dict[str, tuple[str, tuple[Panel, ...]]] = {
    "jobs": (
        "Jobs and queues",
        (
            # every watcher tells the same of the store, so the largest, and no sum, over the pods
            Panel("Queued jobs", f'max by (tenant) ({metrics.JOBS}{{state="queued"}})'),
            Panel("Running jobs", f'max by (tenant) ({metrics.JOBS}{{state="running"}})'),
            Panel("Longest wait", f"max by (tenant) ({metrics.OLDEST_WAITING})", unit="s"),
            Panel("Messages set aside", f"max({metrics.DEAD_LETTERS})", legend=""),
            Panel("Waiting for quota", "sum by (cluster_queue) (kueue_pending_workloads)", legend="cluster_queue"),
        ),
    ),
    "services": (
        "Services of the job path",
        (
            Panel("Answers", f"sum by (service, code) (rate({metrics.REQUESTS}[5m]))", "reqps", "service"),
            Panel(
                "Share of answers that are 5xx, by route",
                f'sum by (route) (rate({metrics.REQUESTS}{{code=~"5.."}}[5m]))'
                f" / sum by (route) (rate({metrics.REQUESTS}[5m]))",
                "percentunit",
                "route",
            ),
            Panel("Slowest 1 % of answers, by route", _slowest(metrics.REQUEST_SECONDS, "route"), "s", "route"),
            Panel("Slowest 1 % of rounds", _slowest(metrics.ROUND_SECONDS, "service"), "s", "service"),
            Panel("Rounds", f"sum by (service, outcome) (rate({metrics.ROUNDS}[5m]))", "ops", "service"),
            Panel("Age of the watch", f"time() - max by (service) ({metrics.LAST_WATCH})", "s", "service"),
            Panel("Webhooks", f"sum by (outcome) (rate({metrics.DELIVERIES}[5m]))", "ops", "outcome"),
        ),
    ),
    "gpus": (
        "GPU time of tenants",
        (
            Panel("GPUs held", monitoring.GPUS_HELD),
            Panel("GPUs busy", monitoring.GPUS_BUSY),
            Panel("Held and idle", f"{monitoring.GPUS_HELD} - {monitoring.GPUS_BUSY}"),
            Panel("GPU-seconds of the last hour", monitoring.GPU_SECONDS, unit="s"),
            Panel(
                "Admitted GPUs",
                'sum by (cluster_queue) (kueue_cluster_queue_resource_reservation{resource="nvidia.com/gpu"})',
                legend="cluster_queue",
            ),
            Panel(
                "Guaranteed GPUs",
                'sum by (cluster_queue) (kueue_cluster_queue_nominal_quota{resource="nvidia.com/gpu"})',
                legend="cluster_queue",
            ),
        ),
    ),
    "cost": (
        "Cost of tenants",
        (
            Panel("Cost of the last 24 hours", f"max by (tenant, currency) (increase({metrics.COST}[24h]))"),
            Panel("Cost of the last 30 days", f"max by (tenant, currency) (increase({metrics.COST}[30d]))"),
        ),
    ),
    "canaries": (
        "Roll-outs",
        (
            Panel("Not healthy", 'sum by (namespace, name) (rollout_info{phase!="Healthy"})', legend="name"),
            Panel("Analyses", "sum by (namespace, phase) (analysis_run_info)", legend="phase"),
        ),
    ),
}


class PlatformDashboards(Construct):
    """One ConfigMap for each dashboard, in the namespace that Grafana runs in."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:  # noqa: ARG002
        super().__init__(scope, construct_id)
        place = Place("foundation", naming.MONITORING_NAMESPACE, "platform.yaml", Wave.CONFIG)
        for name, (title, panels) in DASHBOARDS.items():
            manifest(self, config_map(name, dashboard(name, title, panels)), at=place)


def dashboard(name: str, title: str, panels: Sequence[Panel]) -> dict[str, Any]:
    """A dashboard whose data source is chosen by the one who looks."""
    source = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return {
        "uid": f"tenon-{name}",
        "title": f"Tenon: {title}",
        "tags": ["tenon"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [source]},
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }


def config_map(name: str, document: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"dashboard-{name}", "labels": {**naming.MANAGED_BY, **FOUND_BY}},
        "data": {f"{name}.json": json.dumps(document, sort_keys=True)},
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, _COLUMNS)
    target = {"refId": "A", "datasource": _SOURCE, "expr": panel.query}
    if panel.legend:
        target["legendFormat"] = f"{{{{{panel.legend}}}}}"
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [target],
    }
