"""A polite request to end (SIGTERM of Kubernetes, SIGUSR1, Ctrl-C) as a flag that is asked for at every micro-step.

A step that has something to save opens `watched()`; before and without it, a signal ends the step at once with
exit code 143. Either way the signal never ends in 0, and a second one during the saving changes nothing.
"""

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypeVar

from trainer.outcomes import Killed, Unavailable

SAVE_NOW = "SAVE_NOW"  # `touch SAVE_NOW` in the attempt's local folder: save a checkpoint at the next step boundary
_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
_NOTHING_SAVED = "asked to stop; the step begins anew when it is started again"
T = TypeVar("T")


class Interruption:
    """Whether someone asked this process to stop."""

    def __init__(self) -> None:
        self._requested = False

    def request(self) -> None:
        self._requested = True

    @property
    def requested(self) -> bool:
        return self._requested

    def stop_if_requested(self) -> None:
        """Raise Killed once asked to stop: for steps that have nothing to save."""
        if self._requested:
            raise Killed(_NOTHING_SAVED)

    def polled(self, items: Iterable[T]) -> Iterator[T]:
        """The items; raises Killed before the next one once asked to stop."""
        for item in items:
            self.stop_if_requested()
            yield item


class SaveRequest:
    """Someone's wish for a checkpoint now, without ending the training: a file in the attempt's local folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / SAVE_NOW

    def taken(self) -> bool:
        """Whether there is a wish; it is granted once."""
        try:
            self._file.unlink()
        except OSError:  # none there; a folder that can no longer be written is the save's own fault to tell
            return False
        return True


@contextmanager
def watched() -> Iterator[Interruption]:
    """While it lasts the signals only set the flag. Main thread only: Python delivers signals nowhere else."""
    interruption = Interruption()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        interruption.request()

    before = {number: signal.signal(number, on_signal) for number in _SIGNALS}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def signals_end_the_step() -> None:
    """From now on each of the signals raises Killed, wherever the step is."""

    def on_signal(number: int, frame: FrameType | None) -> NoReturn:
        del number, frame
        raise Killed(_NOTHING_SAVED)

    for number in _SIGNALS:
        signal.signal(number, on_signal)


@contextmanager
def or_killed() -> Iterator[None]:
    """Around the saving of a step that was asked to stop: when it fails, the stop was a kill (exit code 143)."""
    try:
        yield
    except (Unavailable, OSError) as error:
        text = f"{error}; asked to stop, and no checkpoint could be saved: it goes on from an older one"
        raise Killed(text) from error
