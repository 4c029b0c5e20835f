"""The servers that a Rollout may run: one line for each runtime."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from generators.serving import ray, transformers, triton, vllm
from generators.serving.metrics import RuntimeMetrics
from generators.serving.server import Objects, Served, pod


def _as_it_is(_served: Served, template: dict[str, Any]) -> dict[str, Any]:
    return template


def _none(_served: Served) -> Objects:
    return []


@dataclass(frozen=True)
class Runtime:
    """A server.

    container: name, image, command and env of the one container; the pod around it is the same for all.
    metrics: what it measures of itself.
    shaped: what its pod has beyond that. files: objects that the pod mounts.
    metrics_port: name of the container port that shows the metrics.
    """

    container: Callable[[Served], dict[str, Any]]
    metrics: RuntimeMetrics
    shaped: Callable[[Served, dict[str, Any]], dict[str, Any]] = _as_it_is
    files: Callable[[Served], Objects] = _none
    metrics_port: str = "http"

    def template(self, served: Served) -> dict[str, Any]:
        """Pod template of one server."""
        return self.shaped(served, pod(served, self.container(served)))


_RUNTIMES = {
    "ray": Runtime(ray.container, ray.METRICS, ray.shaped, ray.files, ray.METRICS_NAME),
    "transformers": Runtime(transformers.container, transformers.METRICS),
    "triton": Runtime(triton.container, triton.METRICS, triton.shaped, triton.files),
    "vllm": Runtime(vllm.container, vllm.METRICS),
}


def runtime(served: Served) -> Runtime:
    """The runtime of a model; no Rollout starts the servers of `ray`."""
    return _RUNTIMES[served.record.serving.runtime]
