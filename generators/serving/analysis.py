"""What a canary is measured by, against the stable version at the same time.

No data never counts as success: a metric without values is inconclusive, and the roll-out waits for a person.
"""

from typing import Any

from generators import hosts, naming, versions
from generators.naming import MONITORING_NAMESPACE
from generators.serving.runtimes import runtime
from generators.serving.server import Served

PROMETHEUS = f"http://{hosts.service('prometheus', MONITORING_NAMESPACE)}:9090"
WINDOW = "5m"
LEAST_REQUESTS = 20  # of the canary in one window; fewer say nothing of its tail
MOST_SLOWDOWN = 1.25  # canary's p95 time to first token over the stable's
MOST_MORE_ERRORS = 0.01  # canary's share of 5xx answers minus the stable's

_CANARY, _STABLE = "{{args.canary-hash}}", "{{args.stable-hash}}"
_NEVER = "false"


def arguments() -> list[dict[str, Any]]:
    """Arguments that the Rollout gives: the hashes of its two pod templates."""
    return [
        {"name": "canary-hash", "valueFrom": {"podTemplateHashValue": "Latest"}},
        {"name": "stable-hash", "valueFrom": {"podTemplateHashValue": "Stable"}},
    ]


def analysis_template(served: Served) -> dict[str, Any]:
    """AnalysisTemplate of the model's name."""
    first_token = runtime(served).metrics.first_token or ""
    namespace = naming.serving_namespace(served.tenant.id)
    slower = f"{_p95(first_token, namespace, _CANARY)} / {_p95(first_token, namespace, _STABLE)}"
    more_errors = f"{_error_share(namespace, _CANARY)} - {_error_share(namespace, _STABLE)}"
    metrics = [
        _metric("enough-requests", _requests(namespace, _CANARY), f"result[0] >= {LEAST_REQUESTS}", failure=_NEVER),
        _metric("first-token-p95-ratio", slower, f"result[0] <= {MOST_SLOWDOWN}"),
        _metric("error-share-difference", more_errors, f"result[0] <= {MOST_MORE_ERRORS}"),
    ]
    return {
        "apiVersion": versions.ARGO,
        "kind": "AnalysisTemplate",
        "metadata": {"name": served.model, "labels": naming.labels(served.tenant.id)},
        "spec": {"args": [{"name": each["name"]} for each in arguments()], "metrics": metrics},
    }


def _metric(name: str, query: str, success: str, *, failure: str | None = None) -> dict[str, Any]:
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


def _match(namespace: str, version: str, extra: str = "") -> str:
    return f'{{namespace="{namespace}",rollouts_pod_template_hash="{version}"{extra}}}'


def _requests(namespace: str, version: str) -> str:
    return f"sum(increase(http_requests_total{_match(namespace, version, _API)}[{WINDOW}]))"


def _p95(metric: str, namespace: str, version: str) -> str:
    return f"histogram_quantile(0.95, sum by (le) (rate({metric}{_match(namespace, version)}[{WINDOW}])))"


def _error_share(namespace: str, version: str) -> str:
    """Share of 5xx; no series of that status means none was answered, not that nothing is known."""
    failed = _match(namespace, version, f'{_API},status="5xx"')
    some = f"(sum(rate(http_requests_total{failed}[{WINDOW}])) or vector(0))"
    return f"{some} / sum(rate(http_requests_total{_match(namespace, version, _API)}[{WINDOW}]))"


_API = ',handler=~"/v1/.*"'
