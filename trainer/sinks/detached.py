"""A sink behind a thread and a bounded queue: one that fails, hangs or is slow costs a training nothing but its lines.

When the queue is full its oldest entry goes. The first failure is logged, the others are counted.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from trainer.sinks.sink import Line, Metrics, Sink

MOST_WAITING = 10_000  # entries: minutes of steps on the smallest models
_log = logging.getLogger(__name__)


class ClosedSink(Sink, Protocol):
    """A sink with an end of its own."""

    def close(self) -> None: ...


class Detached:
    """Tells another sink, which may raise and block. make: opens it, in the thread."""

    def __init__(self, name: str, make: Callable[[], ClosedSink], *, most_waiting: int = MOST_WAITING) -> None:
        self._name, self._make = name, make
        self._waiting: deque[Callable[[ClosedSink], None]] = deque(maxlen=most_waiting)
        self._changed = threading.Condition()
        self._is_closing = False
        self.failures = 0
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)
        self._thread.start()

    def begin(self, step: str) -> None:
        self._tell(lambda sink: sink.begin(step))

    def progress(self, done: int, total: int, metrics: Metrics) -> None:
        self._tell(lambda sink: sink.progress(done, total, metrics))

    def record(self, line: Line) -> None:
        self._tell(lambda sink: sink.record(line))

    def finish(self, metrics: Metrics) -> None:
        self._tell(lambda sink: sink.finish(metrics))

    def close(self, *, until: float) -> bool:
        """Whether everything was told before this moment of the monotonic clock. What is left is lost."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            _log.warning("%s: does not take its last numbers in time; they are in metrics.jsonl", self._name)
        return not self._thread.is_alive()

    def _tell(self, call: Callable[[ClosedSink], None]) -> None:
        with self._changed:
            self._waiting.append(call)
            self._changed.notify()

    def _run(self) -> None:
        sink: ClosedSink | None = None
        try:
            sink = self._make()
        except Exception as error:  # noqa: BLE001 - any library's, and it must not end a training
            self._failed(error)
        while (call := self._next()) is not None:
            if sink is not None:
                self._guarded(call, sink)
        if sink is not None:
            self._guarded(lambda sink: sink.close(), sink)

    def _next(self) -> Callable[[ClosedSink], None] | None:
        """The oldest entry; None when there is none and none will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            return self._waiting.popleft() if self._waiting else None

    def _guarded(self, call: Callable[[ClosedSink], None], sink: ClosedSink) -> None:
        try:
            call(sink)
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        if self.failures == 1:
            _log.warning("%s: %s: %s; the numbers are in metrics.jsonl", self._name, type(error).__name__, error)
