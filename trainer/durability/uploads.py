"""Uploads beside the training: one at a time, and of those that wait only the newest.

The training never waits for the object store, only the end of the process does.
"""

import logging
from collections.abc import Callable, Sequence
from threading import Condition, Thread

from trainer.outcomes import Unavailable

FINISH_SECONDS = 90.0  # of the 120 that a pod has after SIGTERM
_PAUSES = (1.0, 5.0)
_log = logging.getLogger(__name__)


class Uploads:
    """Brings what it is offered to the bucket, in a thread that starts with the first offer.

    push: brings one there whole, or raises. pauses: seconds before each further try; a newer offer cuts them short.
    """

    def __init__(self, push: Callable[[str], None], *, pauses: Sequence[float] = _PAUSES) -> None:
        self._push, self._pauses = push, tuple(pauses)
        self._changed = Condition()
        self._thread: Thread | None = None
        self._waiting: str | None = None
        self._running: str | None = None
        self._lost: tuple[str, Exception] | None = None  # the last one, when it did not get there
        self._is_ending = False

    @property
    def pending(self) -> frozenset[str]:
        """What must stay on the disk: it waits, or is on its way."""
        with self._changed:
            return frozenset(name for name in (self._waiting, self._running) if name is not None)

    def offer(self, name: str) -> None:
        """Bring `name` to the bucket after what is on its way. Raises what ended an earlier one for good (BadInput)."""
        with self._changed:
            self._refuse_after_a_refusal()
            self._waiting = name
            self._start()
            self._changed.notify_all()

    def finish(self, within: float = FINISH_SECONDS) -> None:
        """Wait until the last one offered is there. Raises Unavailable when it is not within so many seconds."""
        with self._changed:
            self._refuse_after_a_refusal()
            if self._lost is not None and not self._is_busy():  # given up while the training went on: once more
                self._waiting = self._lost[0]
                self._start()
            self._is_ending = True
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: not self._is_busy(), timeout=within):
                name = self._waiting or self._running
                raise Unavailable(f"{name}: was not in the bucket after {within:.0f} s; look at the object store")
            if self._lost is not None:
                raise self._lost[1]
            thread = self._thread
        if thread is not None:
            thread.join()

    def _is_busy(self) -> bool:
        return self._waiting is not None or self._running is not None

    def _refuse_after_a_refusal(self) -> None:
        if self._lost is not None and not isinstance(self._lost[1], (Unavailable, OSError)):
            raise self._lost[1]

    def _start(self) -> None:
        self._is_ending = False
        if self._thread is None:
            self._thread = Thread(target=self._run, name="uploads", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None or self._is_ending)
                if self._waiting is None:
                    self._thread = None
                    return
                name, self._waiting = self._waiting, None
                self._running = name
            error = self._brought(name)
            with self._changed:
                self._running = None
                self._lost = None if error is None else (name, error)
                self._changed.notify_all()

    def _brought(self, name: str) -> Exception | None:
        """What kept it from getting there, after every try."""
        for number, pause in enumerate([*self._pauses, None], start=1):
            try:
                self._push(name)
            except (Unavailable, OSError) as error:
                _log.warning("%s is not in the bucket yet (try %d): %s", name, number, error)
                if pause is None or self._is_overtaken(pause):
                    return error
            except Exception as error:  # noqa: BLE001 - raised where the training asks next
                return error
            else:
                return None
        raise AssertionError("the last try has no pause")

    def _is_overtaken(self, pause: float) -> bool:
        """Wait before the next try; true as soon as a newer one waits."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting is not None, timeout=pause)
