"""The servers that a Rollout may run: one line for each runtime."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from generators.serving import transformers, vllm
from generators.serving.metrics import RuntimeMetrics
from generators.serving.server import Served


@dataclass(frozen=True)
class Runtime:
    """A server: the container (name, image, command, env) of one pod, and what it measures of itself."""

    container: Callable[[Served], dict[str, Any]]
    metrics: RuntimeMetrics


_RUNTIMES = {
    "transformers": Runtime(transformers.container, transformers.METRICS),
    "vllm": Runtime(vllm.container, vllm.METRICS),
}


def runtime(served: Served) -> Runtime:
    """Of every runtime but `ray`, whose servers no Rollout starts."""
    return _RUNTIMES[served.record.serving.runtime]
