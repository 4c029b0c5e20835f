"""What is watched of the platform itself: who is scraped, what is computed per tenant, what wakes somebody.

The series of our services are named in app/contract/metrics.py. Others come from components: `DCGM_FI_DEV_GPU_UTIL` of
NVIDIA's exporter, which names the pod that holds the GPU, and `kueue_*` of Kueue.
"""

from typing import Any

from app.contract import metrics
from generators import naming, versions
from generators.cluster.deployments import PART_OF
from generators.inputs.platform import Platform
from generators.manifest import Construct, Place, Wave, manifest
from generators.naming import MONITORING_NAMESPACE, SYSTEM_NAMESPACE

# Recorded series, by tenant. Prometheus keeps the exporter's own namespace apart from the one that the GPU's pod is in.
GPUS_HELD = "tenon:gpus_held:by_tenant"
GPUS_BUSY = "tenon:gpus_busy:by_tenant"
GPU_SECONDS = "tenon:gpu_seconds_1h:by_tenant"
_INTERVAL_SECONDS = 60
_HOLDER, _TENANT = "exported_namespace", "(.+)-(?:train|serve)"

ALERT = "page"  # severities: somebody is woken, or looks at it in the morning
TICKET = "ticket"


class PlatformMonitoring(Construct):
    """PodMonitor of our services, PrometheusRules for tenants' GPU time and for alerts."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:  # noqa: ARG002
        super().__init__(scope, construct_id)
        place = Place("foundation", SYSTEM_NAMESPACE, "platform.yaml", Wave.SERVICE)
        manifest(self, services_monitor(), at=place)
        place = Place("foundation", MONITORING_NAMESPACE, "platform.yaml", Wave.SERVICE)
        manifest(self, rules("gpus", recordings(), interval=f"{_INTERVAL_SECONDS}s"), at=place)
        manifest(self, rules("job-path", alerts()), at=place)


def services_monitor() -> dict[str, Any]:
    """One for all services: what belongs to the job path carries one label."""
    return {
        "apiVersion": versions.MONITORING,
        "kind": "PodMonitor",
        "metadata": {"name": "services", "labels": dict(naming.MANAGED_BY)},
        "spec": {
            "selector": {"matchLabels": dict(PART_OF)},
            "podTargetLabels": ["app.kubernetes.io/name"],
            "podMetricsEndpoints": [{"port": "metrics", "path": "/metrics", "interval": "30s"}],
        },
    }


def rules(name: str, made: list[dict[str, Any]], *, interval: str | None = None) -> dict[str, Any]:
    """One group of recordings or of alerts."""
    group = {"name": name, "rules": made, **({"interval": interval} if interval else {})}
    return {
        "apiVersion": versions.MONITORING,
        "kind": "PrometheusRule",
        "metadata": {"name": name, "labels": dict(naming.MANAGED_BY)},
        "spec": {"groups": [group]},
    }


def recordings() -> list[dict[str, Any]]:
    """GPUs that a tenant's pods hold and use, and the hour's sum of those held, in seconds.

    A GPU is held while the exporter names a pod of the tenant for it, used or not: that is what others cannot have.
    """
    holding = f'DCGM_FI_DEV_GPU_UTIL{{{_HOLDER}=~"{_TENANT}"}}'
    of_tenant = f'label_replace({holding}, "tenant", "$1", "{_HOLDER}", "{_TENANT}")'
    return [
        {"record": GPUS_HELD, "expr": f"count by (tenant) ({of_tenant})"},
        {"record": GPUS_BUSY, "expr": f"sum by (tenant) ({of_tenant}) / 100"},
        {"record": GPU_SECONDS, "expr": f"sum_over_time({GPUS_HELD}[1h]) * {_INTERVAL_SECONDS}"},
    ]


def alerts() -> list[dict[str, Any]]:
    """Each says what is wrong, for whom, and where to begin."""
    failed = f'{metrics.REQUESTS}{{code=~"5.."}}'
    return [
        _alert(
            "TenonLoopStalled",
            f"time() - max by (service) ({metrics.LAST_ROUND}) > 120",
            "{{ $labels.service }} has ended no round for two minutes; its log names the outage it waits for",
            severity=ALERT,
            minutes=2,
        ),
        _alert(
            "TenonDispatcherUnseen",
            f'absent({metrics.LAST_ROUND}{{service="dispatcher"}})',
            "no dispatcher is scraped: jobs are accepted and none begins; look at its Deployment",
            severity=ALERT,
            minutes=5,
        ),
        _alert(
            "TenonWatchSilent",
            f"time() - max by (service) ({metrics.LAST_WATCH}) > 600",
            "{{ $labels.service }} has heard nothing of the API server for ten minutes; jobs end and nobody sees it",
            severity=ALERT,
            minutes=2,
        ),
        _alert(
            "TenonDeadLetters",
            f"max({metrics.DEAD_LETTERS}) > 0",
            "messages were set aside; `tenon dlq list` shows the reason of each",
            severity=TICKET,
            minutes=1,
        ),
        _alert(
            "TenonJobWaitsLong",
            f"max by (tenant) ({metrics.OLDEST_WAITING}) > 6 * 3600",
            "a job of {{ $labels.tenant }} has waited six hours; compare its limits and its queue's quota",
            severity=TICKET,
            minutes=15,
        ),
        _alert(
            "TenonRequestsFail",
            f"sum by (service) (rate({failed}[5m])) / sum by (service) (rate({metrics.REQUESTS}[5m])) > 0.02",
            "more than 2 % of the answers of {{ $labels.service }} are 5xx",
            severity=ALERT,
            minutes=5,
        ),
        _alert(
            "TenonWebhooksGivenUp",
            f'sum by (tenant) (increase({metrics.DELIVERIES}{{outcome="given_up"}}[1h])) > 0',
            "callbacks of {{ $labels.tenant }} were given up; its host refuses or does not answer",
            severity=TICKET,
            minutes=1,
        ),
    ]


def _alert(name: str, expression: str, summary: str, *, severity: str, minutes: int) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": f"{minutes}m",
        "labels": {"severity": severity},
        "annotations": {"summary": summary},
    }
