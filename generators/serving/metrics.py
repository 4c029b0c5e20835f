"""What a model server measures of itself, under the names of its runtime."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RuntimeMetrics:
    """Names of Prometheus series. None: the runtime does not measure it.

    first_token, inter_token: buckets of a histogram of seconds.
    requests: counter of answered requests; `answered` and `failed` select those of the model API and their failures.
    waiting: gauge of requests that wait for a place on the GPU.
    cache: gauge of the used share (0 to 1) of the KV cache.
    """

    first_token: str | None
    inter_token: str | None
    requests: str
    answered: str
    failed: str
    waiting: str | None = None
    cache: str | None = None
