"""What a new version is measured by before and while users get it.

No data is neither success nor failure: a metric without values is inconclusive, and the roll-out waits for a person.
Templates name the platform's Prometheus alone and no other provider: a job, a web call or a plugin would run with the
controller's rights.
"""

from collections.abc import Iterable
from typing import Any

from generators import hosts, naming, versions
from generators.manifest import Wave
from generators.naming import MONITORING_NAMESPACE
from generators.serving.metrics import RuntimeMetrics
from generators.serving.queries import Series, of_version
from generators.serving.runtimes import runtime
from generators.serving.server import Objects, Served

PROMETHEUS = f"http://{hosts.service('prometheus', MONITORING_NAMESPACE)}:9090"
WINDOW = "5m"
LEAST_REQUESTS = 20  # of the canary in one window; fewer say nothing of its tail
MOST_SLOWDOWN = 1.25  # canary's p95 to the first token, and between tokens, over the stable's
MOST_MORE_ERRORS = 0.01  # canary's share of failed answers minus the stable's
MOST_CACHE = 0.95  # used share of the KV cache; above it requests are put off whatever the version
MOST_ERRORS = 0.02  # share of failed answers of a version that is measured alone
MEASUREMENTS = 5  # of an analysis that ends by itself, one minute apart

_CANARY, _STABLE = "{{args.canary-hash}}", "{{args.stable-hash}}"
_NEVER = "false"

Metric = dict[str, Any]


def templates(served: Served) -> Objects:
    """The AnalysisTemplates that the model's roll-outs and its experiment name."""
    serving = served.record.serving
    made: Objects = []
    if serving.strategy == "blueGreen":
        made += [
            (_template(served, preview(served.model), _preview_metrics(served)), Wave.TEMPLATE, "serving.strategy")
        ]
        made += [(_template(served, active(served.model), _active_metrics(served)), Wave.TEMPLATE, "serving.strategy")]
    needs_comparison = serving.strategy == "canary" and serving.canary.level == "server"
    if needs_comparison or serving.experiment:
        key = "serving.canary" if needs_comparison else "serving.experiment"
        made += [(_template(served, comparison(served.model), _comparison_metrics(served)), Wave.TEMPLATE, key)]
    return made


def comparison(model: str) -> str:
    """Template that holds a version against another at the same time, for as long as it is asked."""
    return model


def preview(model: str) -> str:
    """Template for a version that no user gets yet."""
    return f"{model}-preview"


def active(model: str) -> str:
    """Template for a version that all users get; the one before has no requests any more."""
    return f"{model}-active"


def reference(template: str) -> dict[str, Any]:
    """How a Rollout names a template: with the hashes of its two pod templates."""
    return {"templates": [{"templateName": template}], "args": arguments()}


def arguments() -> list[dict[str, Any]]:
    """Arguments that the Rollout gives."""
    return [
        {"name": "canary-hash", "valueFrom": {"podTemplateHashValue": "Latest"}},
        {"name": "stable-hash", "valueFrom": {"podTemplateHashValue": "Stable"}},
    ]


def _comparison_metrics(served: Served) -> list[Metric]:
    metrics = runtime(served).metrics
    canary, stable = of_version(served, metrics, _CANARY), of_version(served, metrics, _STABLE)
    made = [_enough_requests(canary)]
    for name, buckets in (("first-token", metrics.first_token), ("inter-token", metrics.inter_token)):
        if buckets:
            slower = f"{canary.p95(buckets)} / {stable.p95(buckets)}"
            made.append(_metric(f"{name}-p95-ratio", slower, f"result[0] <= {MOST_SLOWDOWN}"))
    more_errors = f"{canary.error_share()} - {stable.error_share()}"
    made.append(_metric("error-share-difference", more_errors, f"result[0] <= {MOST_MORE_ERRORS}"))
    return [*made, *_cache_left(canary, metrics)]


def _preview_metrics(served: Served) -> list[Metric]:
    """Every server of the new version is there and is read."""
    new = of_version(served, runtime(served).metrics, _CANARY)
    return [{**_ending(_metric("servers-up", f"min({new.named('up')})", "result[0] == 1")), "initialDelay": "1m"}]


def _active_metrics(served: Served) -> list[Metric]:
    metrics = runtime(served).metrics
    new = of_version(served, metrics, _CANARY)
    made = [_enough_requests(new), _metric("error-share", new.error_share(), f"result[0] <= {MOST_ERRORS}")]
    return [_ending(metric) for metric in (*made, *_cache_left(new, metrics))]


def _enough_requests(series: Series) -> Metric:
    return _metric("enough-requests", series.requests(), f"result[0] >= {LEAST_REQUESTS}", failure=_NEVER)


def _cache_left(series: Series, metrics: RuntimeMetrics) -> list[Metric]:
    """A full cache is too few servers and no fault of the version, so more traffic waits for a person."""
    if metrics.cache is None:
        return []
    query = f"max({series.named(metrics.cache)})"
    return [_metric("cache-share", query, f"result[0] <= {MOST_CACHE}", failure=_NEVER)]


def _template(served: Served, name: str, metrics: Iterable[Metric]) -> dict[str, Any]:
    return {
        "apiVersion": versions.ARGO,
        "kind": "AnalysisTemplate",
        "metadata": {"name": name, "labels": naming.labels(served.tenant.id)},
        "spec": {"args": [{"name": each["name"]} for each in arguments()], "metrics": list(metrics)},
    }


def _metric(name: str, query: str, success: str, *, failure: str | None = None) -> Metric:
    there = "len(result) > 0 && !isNaN(result[0]) && !isInf(result[0])"
    return {
        "name": name,
        "initialDelay": WINDOW,
        "interval": "1m",
        "successCondition": f"{there} && {success}",
        "failureCondition": failure or f"{there} && !({success})",
        "failureLimit": 2,
        "inconclusiveLimit": 10,
        "consecutiveErrorLimit": 4,
        "provider": {"prometheus": {"address": PROMETHEUS, "query": query}},
    }


def _ending(metric: Metric) -> Metric:
    """A blue-green roll-out waits for its analyses, so they end; most measurements without values hold it."""
    return {**metric, "count": MEASUREMENTS, "inconclusiveLimit": MEASUREMENTS // 2}
