"""Uploads beside the training: one at a time, the older first, and of those that wait only what is still needed.

The training never waits for the object store, only the end of the process does. What is in the bucket is in order: a
checkpoint is not there before all that are older and still needed.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from threading import Condition, Thread

from trainer.outcomes import Unavailable

FINISH_SECONDS = 60.0  # less than a stop may take (interruption.STOP_SECONDS)
_PAUSES = (1.0, 5.0)
_log = logging.getLogger(__name__)


class Uploads:
    """Brings what it is offered to the bucket, in a thread that starts with the first offer. Names are ordered.

    push: brings one there whole, or raises. pauses: seconds before each further try; an offer that makes it
    superfluous cuts them short.
    """

    def __init__(self, push: Callable[[str], None], *, pauses: Sequence[float] = _PAUSES) -> None:
        self._push, self._pauses = push, tuple(pauses)
        self._changed = Condition()
        self._thread: Thread | None = None
        self._waiting: list[str] = []
        self._wanted: frozenset[str] = frozenset()
        self._running: str | None = None
        self._lost: Exception | None = None  # what kept the first that waits from getting there
        self._is_ending = False

    @property
    def pending(self) -> frozenset[str]:
        """What must stay on the disk: it waits, or is on its way."""
        with self._changed:
            return frozenset([*self._waiting, *([self._running] if self._running is not None else [])])

    def offer(self, name: str, *, also: Collection[str] = ()) -> None:
        """Bring `name` to the bucket after what is on its way. Raises what ended an earlier one for good (BadInput).

        also: what is needed beside it. Whatever else waits is given up.
        """
        with self._changed:
            self._refuse_after_a_refusal()
            self._wanted = frozenset([name, *also])
            self._waiting = sorted({name, *self._waiting} & self._wanted)
            self._start()

    def finish(self, within: float | None = None) -> None:
        """Wait until all that is needed is there. Raises Unavailable when it is not within so many seconds."""
        within = FINISH_SECONDS if within is None else within
        with self._changed:
            self._refuse_after_a_refusal()
            if self._waiting:  # maybe given up while the training went on: once more
                self._start()
            self._is_ending = True
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: not self._is_busy(), timeout=within):
                name = self._running or self._waiting[0]
                raise Unavailable(f"{name}: was not in the bucket after {within:.0f} s; look at the object store")
            if self._lost is not None:
                raise self._lost
            thread = self._thread
        if thread is not None:
            thread.join()

    def _is_busy(self) -> bool:
        return self._running is not None or self._has_work()

    def _has_work(self) -> bool:
        return bool(self._waiting) and self._lost is None

    def _refuse_after_a_refusal(self) -> None:
        if self._lost is not None and not isinstance(self._lost, (Unavailable, OSError)):
            raise self._lost

    def _start(self) -> None:
        self._is_ending, self._lost = False, None
        if self._thread is None:
            self._thread = Thread(target=self._run, name="uploads", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._has_work() or self._is_ending)
                if not self._has_work():
                    self._thread = None
                    return
                name = self._running = self._waiting.pop(0)
            error = self._brought(name)
            with self._changed:
                self._running = None
                if error is not None and name in self._wanted:  # nothing newer goes before it
                    self._waiting, self._lost = sorted({name, *self._waiting}), error
                self._changed.notify_all()

    def _brought(self, name: str) -> Exception | None:
        """What kept it from getting there, after every try."""
        for number, pause in enumerate([*self._pauses, None], start=1):
            try:
                self._push(name)
            except (Unavailable, OSError) as error:
                _log.warning("%s is not in the bucket yet (try %d): %s", name, number, error)
                if pause is None or self._is_superfluous(name, pause):
                    return error
            except Exception as error:  # noqa: BLE001 - raised where the training asks next
                return error
            else:
                return None
        raise AssertionError("the last try has no pause")

    def _is_superfluous(self, name: str, pause: float) -> bool:
        """Wait before the next try; true as soon as newer ones do without it."""
        with self._changed:
            return self._changed.wait_for(lambda: name not in self._wanted, timeout=pause)
