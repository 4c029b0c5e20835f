"""The watcher's status endpoint.

The status body is the KubeflowCallback form: `{"trainerStatus": {lastUpdatedTime, progressPercentage,
estimatedRemainingSeconds, metrics: [{name, value}]}}`, all values strings, sent with the attempt's bearer token.
"""

import json
import time
import urllib.request
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainer.sinks.sink import Line, Metrics

_SECONDS_BETWEEN = 2.0
_SECONDS_AFTER_FAILURE = 30.0
_TIMEOUT_SECONDS = 3.0
_FINAL_TRIES = 3
_USED = ("cpuSeconds", "gpuSeconds")
_OF_CHECKPOINT = ("step", "loss", "evalLoss")  # what a checkpoint is told with: the newest of each
_MOST_CHECKPOINTS = 32  # that wait for a watcher who does not answer


class StatusSink:
    """POSTs to the watcher: at most one every 2 s, none for 30 s after one that failed, and a last one at the end."""

    def __init__(self, url: str, token: Path | None) -> None:
        self._url, self._token = url, token
        self._not_before = 0.0
        self._began = time.monotonic()
        self._step = ""
        self._used: dict[str, float] = {}
        self._used_told: dict[str, float] = {}
        self._newest: dict[str, float] = {}
        self._checkpoints: deque[Metrics] = deque(maxlen=_MOST_CHECKPOINTS)

    def begin(self, step: str) -> None:
        self._began, self._step = time.monotonic(), step
        self._send(percent=0, remaining=None, metrics={"phase": step})

    def progress(self, done: int, total: int, metrics: Metrics) -> None:
        if time.monotonic() < self._not_before:
            return
        self._tell_checkpoints()
        remaining = (time.monotonic() - self._began) / done * (total - done) if done else None
        self._send(percent=100 * done // max(total, 1), remaining=remaining, metrics={"phase": self._step, **metrics})

    def record(self, line: Line) -> None:
        """Remember what the attempt has used: it goes with the next POST, so that a killed attempt's is known.

        A saved checkpoint is told at once.
        """
        self._used.update({name: round(line[name], 3) for name in _USED if name in line})
        self._newest.update({name: line[name] for name in _OF_CHECKPOINT if line.get(name) is not None})
        if "checkpointStep" in line:
            self._checkpoints.append({**self._newest, "checkpointStep": line["checkpointStep"]})
            if time.monotonic() >= self._not_before:
                self._tell_checkpoints()

    def _tell_checkpoints(self) -> None:
        while self._checkpoints and self._send(percent=None, remaining=None, metrics=self._checkpoints[0]):
            self._checkpoints.popleft()

    def finish(self, metrics: Metrics) -> None:
        """The numbers that the job's row keeps: tried a few times, because nothing follows them."""
        for _ in range(_FINAL_TRIES):
            if self._send(percent=100, remaining=0, metrics={"phase": self._step, **metrics}):
                return

    def close(self) -> None:
        """What nobody was told yet: the last checkpoints, and what the step used up to its end."""
        self._tell_checkpoints()
        if self._used != self._used_told:
            self._send(percent=None, remaining=None, metrics={"phase": self._step})

    def _send(self, *, percent: int | None, remaining: float | None, metrics: Metrics) -> bool:
        status: dict[str, Any] = {
            "lastUpdatedTime": datetime.now(UTC).isoformat(timespec="seconds"),
            "metrics": [
                {"name": name, "value": str(value)}
                for name, value in {**self._used, **metrics}.items()
                if value is not None
            ],
        }
        if percent is not None:
            status["progressPercentage"] = percent
        if remaining is not None:
            status["estimatedRemainingSeconds"] = int(remaining)
        try:
            headers = {"Content-Type": "application/json"}
            if self._token is not None:
                headers["Authorization"] = f"Bearer {self._token.read_text().strip()}"
            body = json.dumps({"trainerStatus": status}).encode()
            request = urllib.request.Request(self._url, body, headers, method="POST")  # noqa: S310 - set by the workflow
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):  # noqa: S310
                self._not_before = time.monotonic() + _SECONDS_BETWEEN
        except (OSError, ValueError):  # a training does not end because nobody listens
            self._not_before = time.monotonic() + _SECONDS_AFTER_FAILURE
            return False
        self._used_told = dict(self._used)
        return True
