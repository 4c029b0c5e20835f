"""Prometheus: served for scraping, pushed for pods that end before they are scraped, or both.

The only module that imports prometheus_client.
"""

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Histogram, pushadd_to_gateway, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from trainer.contract import metrics
from trainer.outcomes import BadInput
from trainer.sinks.sink import Line, Metrics

_SECONDS_BETWEEN_PUSHES = 15.0
_TIMEOUT_SECONDS = 5.0
_MOST_PORT = 65535


@dataclass(frozen=True)
class Address:
    """Where metrics are served."""

    host: str
    port: int

    @classmethod
    def parsed(cls, text: str, *, name: str) -> "Address":
        """`9464` is that port on all interfaces, as a pod needs it; `host:9464` on one. Raises BadInput."""
        host, _, port = text.rpartition(":")
        if not (port.isascii() and port.isdigit() and int(port) <= _MOST_PORT):
            raise BadInput(f"{name}: {text!r} is no port or host:port; write 9464, or 127.0.0.1:9464")
        return cls(host or "0.0.0.0", int(port))  # noqa: S104 - the tenant's network policy says who reaches a pod


class PrometheusSink:
    """The newest numbers of a run, under the labels of its version. address: serve there; gateway: push there.

    Raises OSError when the port is taken.
    """

    def __init__(self, labels: Mapping[str, str], *, address: Address | None, gateway: str | None) -> None:
        self._labels, self._gateway = dict(labels), gateway
        self._values: dict[str, float] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        name, text = metrics.STEP_SECONDS
        step_seconds = Histogram(
            name, text, list(labels), buckets=metrics.STEP_SECONDS_BUCKETS, registry=self._registry
        )
        self._step_seconds = step_seconds.labels(**labels)
        self._not_before = 0.0
        self._server = None
        if address is not None:
            self._server, self._thread = start_http_server(address.port, address.host, self._registry)

    @property
    def port(self) -> int | None:
        """Where it is served."""
        return self._server.server_port if self._server else None

    def begin(self, step: str) -> None:
        """Nothing: the steps of a pipeline share their labels."""

    def progress(self, done: int, total: int, metrics: Metrics) -> None:
        """Nothing: `record` has the numbers."""

    def record(self, line: Line) -> None:
        self._values.update({key: float(value) for key, value in line.items() if _is_number(value)})
        if _is_number(line.get("evalLoss")):
            self._values["perplexity"] = math.exp(min(line["evalLoss"], 700.0))
        if _is_number(line.get("stepSeconds")):
            self._step_seconds.observe(line["stepSeconds"])
        if time.monotonic() >= self._not_before:
            self._push()

    def finish(self, metrics: Metrics) -> None:
        """Nothing: `close` pushes the last numbers."""

    def close(self) -> None:
        self._push()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def collect(self) -> Iterable[Metric]:
        """The numbers as Prometheus takes them; one that was never measured is not there."""
        values, names, labels = dict(self._values), list(self._labels), list(self._labels.values())
        for key, (name, text) in metrics.GAUGES.items():
            if key in values:
                gauge = GaugeMetricFamily(name, text, labels=names)
                gauge.add_metric(labels, values[key])
                yield gauge
        for key, (name, text) in metrics.COUNTERS.items():
            if key in values:
                counter = CounterMetricFamily(name, text, labels=names)
                counter.add_metric(labels, values[key])
                yield counter
        scores = GaugeMetricFamily(*metrics.SCORE, labels=[*names, "score"])
        for key in metrics.SCORES:
            if key in values:
                scores.add_metric([*labels, key], values[key])
        yield scores

    def _push(self) -> None:
        """The numbers join those of the job's other steps. Raises OSError."""
        if self._gateway is None:
            return
        self._not_before = time.monotonic() + _SECONDS_BETWEEN_PUSHES
        others = {name: value for name, value in self._labels.items() if name != "job"}
        pushadd_to_gateway(
            self._gateway, self._labels["job"], self._registry, grouping_key=others, timeout=_TIMEOUT_SECONDS
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
