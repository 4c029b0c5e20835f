"""What a sink is told. It never raises: a training does not end because nobody listens."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Metrics = Mapping[str, object]  # for people: already worded
Line = Mapping[str, Any]  # for charts: step, loss, evalLoss, learningRate, ... as numbers; None: not measured


class Sink(Protocol):
    """Told how a step gets on."""

    def begin(self, step: str) -> None: ...
    def progress(self, done: int, total: int, metrics: Metrics) -> None: ...
    def record(self, line: Line) -> None: ...
    def finish(self, metrics: Metrics) -> None: ...


class Sinks:
    """Several sinks as one."""

    def __init__(self, sinks: Sequence[Sink] = ()) -> None:
        self._sinks = tuple(sinks)

    def begin(self, step: str) -> None:
        """A step of the pipeline begins."""
        for sink in self._sinks:
            sink.begin(step)

    def progress(self, done: int, total: int, metrics: Metrics) -> None:
        """So much of the step is done."""
        for sink in self._sinks:
            sink.progress(done, total, metrics)

    def record(self, line: Line) -> None:
        """The numbers of one optimizer step, or of one measurement of the held-out loss."""
        for sink in self._sinks:
            sink.record(line)

    def finish(self, metrics: Metrics) -> None:
        """The job is done; the numbers that its row keeps."""
        for sink in self._sinks:
            sink.finish(metrics)
