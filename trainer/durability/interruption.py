"""A polite request to end (SIGTERM of Kubernetes, SIGUSR1, Ctrl-C) as a flag that is asked for at every micro-step.

A step that has something to save opens `watched()`; before and without it, a signal ends the step at once with
exit code 143. Either way the signal never ends in 0, and a second one during the saving or after it changes nothing.
Nothing that hangs (an object store, another rank) draws a stop out: after STOP_SECONDS the process ends with 143.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from types import FrameType
from typing import Any, NoReturn, TypeVar

from trainer.contract.steps import Exit
from trainer.outcomes import Killed, Unavailable

SAVE_NOW = "SAVE_NOW"  # `touch SAVE_NOW` in the attempt's local folder: save a checkpoint at the next step boundary
STOP_SECONDS = 90.0  # of a pod's 120; the sinks have 20 of them to close
_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
_NOTHING_SAVED = "asked to stop; the step begins anew when it is started again"
T = TypeVar("T")


class Interruption:
    """Whether someone asked this process to stop."""

    def __init__(self) -> None:
        self._since: float | None = None

    def request(self) -> None:
        self._since = self._since or time.monotonic()

    @property
    def requested(self) -> bool:
        return self._since is not None

    @property
    def seconds(self) -> float:
        """Since the first request; 0 before it."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    def stop_if_requested(self) -> None:
        """Raise Killed once asked to stop: for steps that have nothing to save."""
        if self.requested:
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
def watched(*, within: float = STOP_SECONDS, end: Callable[[], None] | None = None) -> Iterator[Interruption]:
    """While it lasts the signals only set the flag. Main thread only: Python delivers signals nowhere else.

    within: seconds from the first signal to the end of the block. end: called when they are over; ends the process
    when absent.
    """
    interruption, over = Interruption(), Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        interruption.request()  # no more: what it interrupts may hold any lock

    def look() -> None:
        while not over.wait(min(within / 4, 1.0)):
            if interruption.seconds > within:
                (end or _end_now)()
                return

    thread = Thread(target=look, name="stop", daemon=True)
    thread.start()
    before = {number: signal.signal(number, on_signal) for number in _SIGNALS}
    try:
        yield interruption
    finally:
        over.set()
        thread.join()
        put_back(before, asked=interruption.requested)


def put_back(handlers: Mapping[signal.Signals, Any], *, asked: bool) -> None:
    """The handlers that were there before. asked: a signal came meanwhile, so that further ones end no step."""
    for number, handler in handlers.items():
        signal.signal(number, _nothing_more if asked and handler is _end_the_step else handler)


def signals_end_the_step() -> None:
    """From now on the first of the signals raises Killed, wherever the step is."""
    for number in _SIGNALS:
        signal.signal(number, _end_the_step)


def told() -> bool:
    """Whether a signal came to a block of `watched()`, or ended a step, since signals_end_the_step()."""
    return any(signal.getsignal(number) is _nothing_more for number in _SIGNALS)


def signals_end_nothing() -> None:
    """From now on, where they would end the step: its outcome is known and is only told."""
    for number in _SIGNALS:
        if signal.getsignal(number) is _end_the_step:
            signal.signal(number, _nothing_more)


def _end_the_step(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    signals_end_nothing()
    raise Killed(_NOTHING_SAVED)


def _nothing_more(number: int, frame: FrameType | None) -> None:
    """Not signal.SIG_IGN, which a process that is started from here would inherit."""
    del number, frame


def _end_now() -> None:
    sys.stderr.write(
        f"asked to stop, and not done {STOP_SECONDS:.0f} s later: something does not answer (the object store, another"
        " rank); it goes on from an older checkpoint\n"
    )
    sys.stderr.flush()
    os._exit(Exit.KILLED)


@contextmanager
def or_killed() -> Iterator[None]:
    """Around the saving of a step that was asked to stop: when it fails, the stop was a kill (exit code 143)."""
    try:
        yield
    except (Unavailable, OSError) as error:
        text = f"{error}; asked to stop, and no checkpoint could be saved: it goes on from an older one"
        raise Killed(text) from error
