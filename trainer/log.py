"""What a step says, kept in the bucket while it runs, so that its tenant reads it without rights on pods.

`log/<step>/<offset>/lines` below the attempt: parts of whole lines, each named by how many bytes went before it. The
newest part is rewritten until it is full, and the oldest goes when there are too many. A store that is away costs
lines, never the step.
"""

import logging
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from io import TextIOBase
from typing import TextIO

from trainer import storage
from trainer.contract import bucket
from trainer.outcomes import BadInput, Killed, Stopped, Unavailable
from trainer.settings import Settings
from trainer.sinks.sink import Line, Metrics

SECONDS_BETWEEN = 15.0
SECONDS_FOR_THE_LAST = 10.0  # a store that does not answer draws no step out
PART_BYTES = 64 * 1024
MOST_PARTS = 16  # of a step, newest kept
MOST_WAITING_BYTES = 512 * 1024  # while the store does not answer
LINE_BYTES = 8 * 1024  # of a line; the rest of a longer one is left out
_SECONDS_BETWEEN_PROGRESS = 5.0
_log = logging.getLogger(__name__)


class StepLog(TextIOBase):
    """A text stream whose lines get to the bucket now and then, and at its end."""

    def __init__(self, url: str, *, seconds_between: float = SECONDS_BETWEEN) -> None:
        self._url, self._seconds_between = url, seconds_between
        self._said, self._left_out = "", 0
        self._waiting = bytearray()
        self._part, self._offset = bytearray(), -1  # -1: not known yet
        self._is_ending, self._failed = False, False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._changed:
            self._said += text.replace("\r", "\n")
            *lines, self._said = self._said.split("\n")
            self._keep(lines)
            self._said = self._said[-LINE_BYTES:]
        return len(text)

    def end(self, *, seconds: float = SECONDS_FOR_THE_LAST) -> None:
        """Bring what is left into the bucket, in this time."""
        with self._changed:
            self._keep([self._said] if self._said else [])
            self._said, self._is_ending = "", True
            self._changed.notify()
        self._thread.join(seconds)

    def _keep(self, lines: list[str]) -> None:
        for line in lines:
            self._waiting += line.encode(errors="replace")[:LINE_BYTES].decode(errors="ignore").encode() + b"\n"
        if (over := len(self._waiting) - MOST_WAITING_BYTES) > 0:
            cut = self._waiting.find(b"\n", over) + 1
            del self._waiting[:cut]
            self._left_out += cut

    def _run(self) -> None:
        is_last = False
        while not is_last:
            with self._changed:
                self._changed.wait_for(lambda: self._is_ending, self._seconds_between)
                is_last = self._is_ending
            try:
                self._flush()
            except Exception as error:  # noqa: BLE001 - any library's, and it must not end a training
                if not self._failed:
                    _log.warning("log: %s: %s; its lines are kept for a while", type(error).__name__, error)
                self._failed = True

    def _flush(self) -> None:
        """Raises what the store raises; the lines then wait for the next time."""
        if self._offset < 0:
            self._offset = self._end_of_earlier_runs()
        while lines := self._taken():
            try:
                storage.write(f"{self._url}/{self._offset}/{bucket.LINES}", bytes(self._part) + lines)
            except BaseException:
                with self._changed:
                    self._waiting[:0] = lines
                raise
            self._part += lines

    def _taken(self) -> bytes:
        """The next lines that the part has room for; a part that has none is left, and the next one begun."""
        with self._changed:
            if self._left_out:
                self._waiting[:0] = b"[%d bytes were left out: the bucket did not answer]\n" % self._left_out
                self._left_out = 0
            waiting = bytes(self._waiting[:PART_BYTES])
        if waiting and not _whole_lines(waiting, most=PART_BYTES - len(self._part)):
            self._offset, self._part = self._offset + len(self._part), bytearray()
            self._drop_oldest()
        with self._changed:
            size = _whole_lines(self._waiting, most=PART_BYTES - len(self._part))
            lines = bytes(self._waiting[:size])
            del self._waiting[:size]
        return lines

    def _end_of_earlier_runs(self) -> int:
        offsets = self._offsets()
        if not offsets:
            return 0
        return offsets[-1] + len(storage.read(f"{self._url}/{offsets[-1]}/{bucket.LINES}") or b"")

    def _drop_oldest(self) -> None:
        for offset in self._offsets()[: -MOST_PARTS + 1]:
            storage.remove_folder(f"{self._url}/{offset}")

    def _offsets(self) -> list[int]:
        return sorted(int(name) for name in storage.folders(self._url) if name.isdigit())


class LogSink:
    """How a step gets on, as lines: one every few seconds."""

    def __init__(self, log: StepLog) -> None:
        self._log = log
        self._step, self._not_before = "", 0.0

    def begin(self, step: str) -> None:
        self._step, self._not_before = step, 0.0
        self._say(f"{step} begins")

    def progress(self, done: int, total: int, metrics: Metrics) -> None:
        if time.monotonic() >= self._not_before or done == total:
            self._not_before = time.monotonic() + _SECONDS_BETWEEN_PROGRESS
            self._say(f"{self._step} {done} of {total}{_worded(metrics)}")

    def record(self, line: Line) -> None:
        if (saved := line.get("checkpointStep")) is not None:
            self._say(f"{self._step}: the checkpoint of step {saved} is saved")
        if line.get("evalLoss") is not None:
            self._say(f"{self._step}: held-out loss {line['evalLoss']:.4f} at step {line.get('step')}")

    def finish(self, metrics: Metrics) -> None:
        self._say(f"{self._step} is done{_worded(metrics)}")

    def _say(self, text: str) -> None:
        self._log.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}\n")


@contextmanager
def logged(settings: Settings, step: str) -> Iterator[StepLog | None]:
    """The log of a step until the block ends, with all that it prints, logs and dies of; None without a bucket."""
    if not storage.is_remote(settings.attempt_url) or settings.version is not None:
        yield None
        return
    name = step if settings.trial is None else f"{step}-{settings.trial}"
    log = StepLog(f"{settings.attempt_url}/{bucket.log(name)}")
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    try:
        with redirect_stdout(_Both(sys.stdout, log)), redirect_stderr(_Both(sys.stderr, log)):
            yield log
    except (BadInput, Killed, Stopped, Unavailable) as error:
        log.write("\n".join([*getattr(error, "details", ()), str(error), ""]))
        raise
    except Exception:
        log.write(traceback.format_exc())
        raise
    finally:
        logging.getLogger().removeHandler(handler)
        log.end()


class _Both(TextIOBase):
    """A console stream that the log hears too."""

    def __init__(self, console: TextIO, log: StepLog) -> None:
        self._console, self._log = console, log

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._log.write(text)
        return self._console.write(text)

    def flush(self) -> None:
        self._console.flush()

    def fileno(self) -> int:
        return self._console.fileno()

    def isatty(self) -> bool:
        return self._console.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._console.encoding


def _worded(metrics: Metrics) -> str:
    told = ", ".join(f"{name} {value}" for name, value in metrics.items() if value is not None)
    return f": {told}" if told else ""


def _whole_lines(content: bytes | bytearray, *, most: int) -> int:
    """Bytes of the lines that fit."""
    return content.rfind(b"\n", 0, max(most, 0)) + 1
