"""Ends a process that hangs: a rank that has gone, a driver that does not answer. Nothing of it can be saved.

It goes by the monotonic clock, so that a wall clock that jumps ends nothing.
"""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trainer.contract.steps import Exit


class Watchdog:
    """alive() is called as often as something was done. seconds: the longest time that nothing may be done."""

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._last, self._doing = clock(), "the first step"

    def alive(self, doing: str) -> None:
        """doing: what is done next."""
        self._last, self._doing = self._clock(), doing

    @property
    def stuck(self) -> str | None:
        """What has taken too long, None while all is well."""
        silent = self._clock() - self._last
        if silent < self._seconds:
            return None
        return f"{self._doing}: has taken {silent:.0f} s, more than stuckSeconds ({self._seconds:.0f})"


@contextmanager
def watching(seconds: float, *, end: Callable[[str], None] | None = None) -> Iterator[Watchdog]:
    """While it lasts, a thread looks after this process. end: told what is stuck; ends the process when absent."""
    watchdog, over = Watchdog(seconds), threading.Event()

    def look() -> None:
        while not over.wait(min(seconds / 4, 10.0)):
            if (stuck := watchdog.stuck) is not None:
                (end or _end)(stuck)
                return

    thread = threading.Thread(target=look, name="watchdog", daemon=True)
    thread.start()
    try:
        yield watchdog
    finally:
        over.set()
        thread.join()


def _end(stuck: str) -> None:
    """Where each thread stands, why, and out: the main thread is past answering, so no clean-up of its own is run."""
    faulthandler.dump_traceback(file=sys.stderr)
    sys.stderr.write(f"{stuck}; the process is ended and may be started again from its last checkpoint\n")
    sys.stderr.flush()
    os._exit(Exit.FAILED)
