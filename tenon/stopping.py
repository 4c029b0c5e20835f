"""What a signal does to a command that runs the trainer's steps in this process: it ends with 143, and says so."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trainer.outcomes import Killed

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


@contextmanager
def signals_end_the_command() -> Iterator[Callable[[], None]]:
    """While it lasts a signal raises Killed; what is given is called before each step.

    A step that saves takes the signals for itself, and may end well all the same: then the call raises Killed.
    """
    from trainer.durability.interruption import signals_end_the_step

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    signals_end_the_step()
    armed = signal.getsignal(signal.SIGTERM)

    def stop_if_told() -> None:
        if signal.getsignal(signal.SIGTERM) is not armed:
            raise Killed("asked to stop: the step is done; start again to go on with the next one")

    try:
        yield stop_if_told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
