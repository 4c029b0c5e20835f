"""More servers while requests wait: HorizontalPodAutoscaler or KEDA, by the same figure.

The figure is the requests that wait for a place on a GPU, per server. Cores and memory say nothing of a GPU's load.
The Rollout has no `replicas` in Git then: the autoscaler writes them.
"""

from typing import Any

from app.contract.models import Autoscale
from generators import naming, versions
from generators.serving.analysis import PROMETHEUS
from generators.serving.queries import of_model
from generators.serving.runtimes import runtime
from generators.serving.server import Served

WAITING = "tenon_model_requests_waiting"  # recorded per pod (monitoring.py); the cluster's adapter serves it
CALM_SECONDS = 600  # of fewer requests before a server goes: a new one loads its weights for minutes


def scaler(served: Served, asked: Autoscale) -> dict[str, Any]:
    """The one object that scales the model's Rollout."""
    body = _SCALERS[asked.by](served, asked)
    return {**body, "metadata": {"name": served.name, "labels": naming.labels(served.tenant.id)}}


def waiting(served: Served) -> str | None:
    """Waiting requests of each server; None where the runtime does not measure them."""
    metrics = runtime(served).metrics
    return of_model(served, metrics).named(metrics.waiting) if metrics.waiting else None


def _hpa(served: Served, asked: Autoscale) -> dict[str, Any]:
    """Asks the custom metrics API, where an add-on serves the figure (cluster/prometheus.py, adapter_values)."""
    target = {"type": "AverageValue", "averageValue": str(asked.waiting_requests)}
    return {
        "apiVersion": versions.AUTOSCALING,
        "kind": "HorizontalPodAutoscaler",
        "spec": {
            "scaleTargetRef": _target(served),
            "minReplicas": served.record.serving.replicas,
            "maxReplicas": asked.max_replicas,
            "metrics": [{"type": "Pods", "pods": {"metric": {"name": WAITING}, "target": target}}],
            "behavior": _behavior(),
        },
    }


def _keda(served: Served, asked: Autoscale) -> dict[str, Any]:
    """Asks Prometheus itself; KEDA makes the HorizontalPodAutoscaler."""
    query = f"sum({of_model(served, runtime(served).metrics).named(WAITING)})"
    trigger = {
        "type": "prometheus",
        "metricType": "AverageValue",
        "metadata": {"serverAddress": PROMETHEUS, "query": query, "threshold": str(asked.waiting_requests)},
    }
    return {
        "apiVersion": versions.KEDA,
        "kind": "ScaledObject",
        "spec": {
            "scaleTargetRef": _target(served),
            "minReplicaCount": served.record.serving.replicas,
            "maxReplicaCount": asked.max_replicas,
            "pollingInterval": 30,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior()}},
            "triggers": [trigger],
        },
    }


def _target(served: Served) -> dict[str, str]:
    return {"apiVersion": versions.ARGO, "kind": "Rollout", "name": served.name}


def _behavior() -> dict[str, Any]:
    one_by_one = [{"type": "Pods", "value": 1, "periodSeconds": 60}]
    return {
        "scaleUp": {"stabilizationWindowSeconds": 0, "policies": one_by_one},
        "scaleDown": {"stabilizationWindowSeconds": CALM_SECONDS, "policies": one_by_one},
    }


_SCALERS = {"hpa": _hpa, "keda": _keda}
