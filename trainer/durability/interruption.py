"""A polite request to end (SIGTERM of Kubernetes, SIGUSR1, Ctrl-C) as a flag that is asked for at every micro-step."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Interruption:
    """Whether someone asked this process to stop."""

    def __init__(self) -> None:
        self._requested = False

    def request(self) -> None:
        self._requested = True

    @property
    def requested(self) -> bool:
        return self._requested


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
