"""How far `prepare` is, and whether it is asked to stop: told and asked once per batch of rows, in every pass."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from trainer.durability.interruption import Interruption
from trainer.sinks import Sink

BATCH = 512  # rows
_PASSES = {"reading": (0, 80), "comparing": (80, 90), "writing": (90, 100)}  # percent at the start and at the end
T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """Of one preparation."""

    sink: Sink
    interruption: Interruption

    def over(self, rows: Iterable[T], total: int, *, doing: str) -> Iterator[T]:
        """The rows. total: how many there are, about. Raises Killed between two of them once asked to stop."""
        start, end = _PASSES[doing]
        for done, row in enumerate(rows):
            if done % BATCH == 0:
                self.interruption.stop_if_requested()
                percent = start + (end - start) * min(done, total) // max(total, 1)
                self.sink.progress(percent, 100, {"doing": doing, "rows": done})
            yield row
