"""What is read from a model's servers, and what is worth a person's attention.

Labels tenant, model and version are written by the scraping, over whatever a server says of itself.
"""

from typing import Any

from generators import mesh, naming, versions
from generators.manifest import Wave
from generators.serving import scaling
from generators.serving.queries import HASH, of_model
from generators.serving.runtimes import runtime
from generators.serving.server import Objects, Served

SLOW_SECONDS = 5  # to the first token, 95th percentile
MANY_ERRORS = 0.05  # share of failed answers
FULL_CACHE = 0.95  # used share of the KV cache
MANY_WAITING = 16  # requests per server
UNSEEN = "30m"  # a canary without a request for so long is not being tried

Rule = dict[str, Any]


def objects(served: Served) -> Objects:
    """PodMonitor and PrometheusRule of one model."""
    return [(pod_monitor(served), Wave.SERVICE, "serving"), (rules(served), Wave.SERVICE, "serving")]


def pod_monitor(served: Served) -> dict[str, Any]:
    """Every server of the model, whichever set it is of; only /metrics is read."""
    labels = {naming.VERSION_LABEL: "version", "rollouts-pod-template-hash": HASH}
    endpoint = {
        **_shown_at(served),
        "interval": "15s",
        "honorLabels": False,
        "relabelings": [
            {"targetLabel": "tenant", "replacement": served.tenant.id},
            {"targetLabel": "model", "replacement": served.model},
            *({"sourceLabels": [_discovered(label)], "targetLabel": name} for label, name in labels.items()),
        ],
    }
    spec = {"selector": {"matchLabels": {naming.MODEL_LABEL: served.model}}, "podMetricsEndpoints": [endpoint]}
    return _object(served, "PodMonitor", spec)


def _shown_at(served: Served) -> dict[str, Any]:
    """In a mesh the sidecar's agent shows the server's metrics; the server's own port asks for mTLS."""
    if mesh.is_used(served.platform):
        return {"portNumber": mesh.METRICS_PORT, "path": mesh.METRICS_PATH}
    return {"port": runtime(served).metrics_port, "path": "/metrics"}


def rules(served: Served) -> dict[str, Any]:
    """Alerts, and the waiting requests of each server under one name for all runtimes."""
    waiting = scaling.waiting(served)
    recorded = [{"record": scaling.WAITING, "expr": f"max by (namespace, pod, model) ({waiting})"}] if waiting else []
    groups = [{"name": f"{served.model}.serving", "rules": [*recorded, *_alerts(served)]}]
    return _object(served, "PrometheusRule", {"groups": groups})


def _alerts(served: Served) -> list[Rule]:
    metrics = runtime(served).metrics
    series = of_model(served, metrics)
    made = [
        _alert(served, "ModelErrors", f"{series.error_share()} > {MANY_ERRORS}", "many requests fail"),
        _alert(served, "CanaryWithoutData", _unseen(served), f"a canary had no request for {UNSEEN}"),
    ]
    if metrics.first_token:
        slow = f"{series.p95(metrics.first_token)} > {SLOW_SECONDS}"
        made.append(_alert(served, "ModelSlow", slow, f"the first token takes more than {SLOW_SECONDS} s"))
    full = [f"avg({series.named(metrics.waiting)}) > {MANY_WAITING}"] if metrics.waiting else []
    full += [f"avg({series.named(metrics.cache)}) > {FULL_CACHE}"] if metrics.cache else []
    if full:
        made.append(_alert(served, "ModelSaturated", " or ".join(full), "requests wait for a place on the GPU"))
    return made


def _unseen(served: Served) -> str:
    """A pod template that has servers and no request, while there is another one beside it."""
    metrics = runtime(served).metrics
    series = of_model(served, metrics)
    up = f"count by ({HASH}) ({series.named('up')})"
    seen = f"sum by ({HASH}) (increase({series.named(metrics.requests, metrics.answered)}[{UNSEEN}])) > 0"
    return f"({up} unless on ({HASH}) ({seen})) and on () (count({up}) > 1)"


def _alert(served: Served, name: str, expression: str, summary: str) -> Rule:
    """Prometheus reads annotations as templates, so nothing that a tenant may word freely stands in one."""
    return {
        "alert": name,
        "expr": expression,
        "for": "10m",
        "labels": {"severity": "warning", "tenant": served.tenant.id, "model": served.model},
        "annotations": {"summary": f"{served.model} of {served.tenant.id}: {summary}"},
    }


def _object(served: Served, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": served.model, "labels": naming.labels(served.tenant.id)}
    return {"apiVersion": versions.MONITORING, "kind": kind, "metadata": metadata, "spec": spec}


def _discovered(label: str) -> str:
    """A pod's label as Prometheus' service discovery spells it."""
    return "__meta_kubernetes_pod_label_" + label.replace(".", "_").replace("/", "_").replace("-", "_")
