"""What a process of ours measures, under the names of app/contract/metrics.py, and where Prometheus reads it.

Counting is a dictionary's work, because it stands in the path of every request. A scrape only repeats what is known:
it asks no component, so that it answers in an outage.
"""

import errno
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from app.contract import metrics as names
from app.settings import SettingsError

UNKNOWN_ROUTE = "none"  # of requests that no route took: their paths are callers' text

Labels = tuple[str, ...]


@dataclass
class _Histogram:
    """Counts by bucket, the last one without a bound."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(names.SECONDS_BUCKETS) + 1))
    seconds: float = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(names.SECONDS_BUCKETS, seconds)] += 1
        self.seconds += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulated, as Prometheus has them."""
        bounds, total, made = [*(str(bound) for bound in names.SECONDS_BUCKETS), "+Inf"], 0, []
        for bound, count in zip(bounds, self.counts, strict=True):
            total += count
            made.append((bound, float(total)))
        return made


class Metrics:
    """All of one process. Every method may be called from any thread."""

    def __init__(self, service: str, *, clock: Callable[[], float] = time.time) -> None:
        """clock: Unix seconds."""
        self.service = service
        self._clock = clock
        self._lock = threading.Lock()
        self._requests: Counter[Labels] = Counter()
        self._rounds: Counter[Labels] = Counter()
        self._deliveries: Counter[Labels] = Counter()
        self._request_seconds: dict[Labels, _Histogram] = {}
        self._round_seconds: dict[Labels, _Histogram] = {}
        self._gauges: dict[str, dict[Labels, float]] = {}
        self._cost: dict[Labels, float] = {}

    def request(
        self, service: str, code: int | str, *, route: str = UNKNOWN_ROUTE, seconds: float | None = None
    ) -> None:
        """A request was answered. route: the pattern that took it, never the path; seconds: to the answer's head."""
        with self._lock:
            self._requests[service, route, str(code)] += 1
            if seconds is not None:
                self._request_seconds.setdefault((service, route), _Histogram()).observe(seconds)

    def round_done(self, seconds: float) -> None:
        """The process' loop has ended a round."""
        with self._lock:
            self._rounds[self.service, "done"] += 1
            self._round_seconds.setdefault((self.service,), _Histogram()).observe(seconds)
            self._gauges.setdefault(names.LAST_ROUND, {})[(self.service,)] = self._clock()

    def outage(self) -> None:
        """A round ended because a component did not answer."""
        with self._lock:
            self._rounds[self.service, "outage"] += 1

    def watched(self, *, seconds_ago: float = 0.0) -> None:
        """The API server was heard of in a watch, be it a bookmark."""
        with self._lock:
            self._gauges.setdefault(names.LAST_WATCH, {})[(self.service,)] = self._clock() - seconds_ago

    def delivery(self, tenant: str, outcome: str) -> None:
        """A webhook was `delivered`, `refused` by its receiver, or `given_up`."""
        with self._lock:
            self._deliveries[tenant, outcome] += 1

    def dead_letters(self, depth: int) -> None:
        """How many messages are set aside now."""
        with self._lock:
            self._gauges[names.DEAD_LETTERS] = {(): float(depth)}

    def jobs(self, counts: Mapping[tuple[str, str], int], waited_seconds: Mapping[str, float]) -> None:
        """Jobs by tenant and state, and how long each tenant's oldest has waited, in the place of what was known."""
        with self._lock:
            self._gauges[names.JOBS] = {pair: float(count) for pair, count in counts.items()}
            self._gauges[names.OLDEST_WAITING] = {(tenant,): seconds for tenant, seconds in waited_seconds.items()}

    def cost(self, amounts: Mapping[Labels, float]) -> None:
        """Money by (tenant, currency) since the store was made."""
        with self._lock:
            self._cost = dict(amounts)

    def collect(self) -> Iterable[Metric]:
        """As Prometheus takes it; what was never measured has no sample."""
        with self._lock:
            return list(self._families())

    def _families(self) -> Iterator[Metric]:
        service = ("service",)
        yield _counter(names.REQUESTS, (*service, "route", "code"), self._requests)
        yield _counter(names.ROUNDS, (*service, "outcome"), self._rounds)
        yield _counter(names.DELIVERIES, ("tenant", "outcome"), self._deliveries)
        yield _counter(names.COST, ("tenant", "currency"), self._cost)
        yield _histogram(names.REQUEST_SECONDS, (*service, "route"), self._request_seconds)
        yield _histogram(names.ROUND_SECONDS, service, self._round_seconds)
        for name, labels in _GAUGES.items():
            gauge = GaugeMetricFamily(name, _text(name), labels=labels)
            for values, amount in self._gauges.get(name, {}).items():
                gauge.add_metric(values, amount)
            yield gauge


_GAUGES: Mapping[str, Labels] = {
    names.JOBS: ("tenant", "state"),
    names.OLDEST_WAITING: ("tenant",),
    names.DEAD_LETTERS: (),
    names.LAST_ROUND: ("service",),
    names.LAST_WATCH: ("service",),
}


class MetricsServer:
    """`/metrics` of one process, until it is closed; its threads end with the process too."""

    def __init__(self, metrics: Metrics, *, address: str, port: int) -> None:
        """Raises SettingsError when the port cannot be had."""
        registry = CollectorRegistry()
        registry.register(metrics)
        try:
            self._server, self._thread = start_http_server(port, address, registry)
        except (OSError, OverflowError) as error:
            reason = errno.errorcode.get(getattr(error, "errno", 0) or 0, "no port")
            text = (
                f"TENON_METRICS_PORT: {address} port {port} cannot be had ({reason}); end what uses it, or name another"
            )
            raise SettingsError(text) from error
        self.port: int = self._server.socket.getsockname()[1]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _counter(name: str, labels: Labels, amounts: Mapping[Labels, float]) -> Metric:
    family = CounterMetricFamily(name, _text(name), labels=labels)
    for values, amount in amounts.items():
        family.add_metric(values, amount)
    return family


def _histogram(name: str, labels: Labels, found: Mapping[Labels, _Histogram]) -> Metric:
    family = HistogramMetricFamily(name, _text(name), labels=labels)
    for values, histogram in found.items():
        family.add_metric(values, buckets=histogram.buckets(), sum_value=histogram.seconds)
    return family


def _text(name: str) -> str:
    return name.removeprefix("tenon_").removesuffix("_total").replace("_", " ")
