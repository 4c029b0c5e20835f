"""The watcher's status endpoint.

The status body is the KubeflowCallback form: `{"trainerStatus": {lastUpdatedTime, progressPercentage,
estimatedRemainingSeconds, metrics: [{name, value}]}}`, all values strings, sent with the attempt's bearer token.
"""

import json
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainer.sinks.sink import Line, Metrics

_SECONDS_BETWEEN = 2.0
_SECONDS_AFTER_FAILURE = 30.0
_TIMEOUT_SECONDS = 3.0
_FINAL_TRIES = 3
_USED = ("cpuSeconds", "gpuSeconds")


class StatusSink:
    """POSTs to the watcher: at most one every 2 s, none for 30 s after one that failed, and a last one at the end."""

    def __init__(self, url: str, token: Path | None) -> None:
        self._url, self._token = url, token
        self._not_before = 0.0
        self._began = time.monotonic()
        self._step = ""
        self._used: dict[str, float] = {}

    def begin(self, step: str) -> None:
        self._began, self._step = time.monotonic(), step
        self._send(percent=0, remaining=None, metrics={"phase": step})

    def progress(self, done: int, total: int, metrics: Metrics) -> None:
        if time.monotonic() < self._not_before:
            return
        remaining = (time.monotonic() - self._began) / done * (total - done) if done else None
        self._send(percent=100 * done // max(total, 1), remaining=remaining, metrics={"phase": self._step, **metrics})

    def record(self, line: Line) -> None:
        """Remember what the attempt has used: it goes with the next POST, so that a killed attempt's is known."""
        self._used.update({name: round(line[name], 3) for name in _USED if name in line})

    def finish(self, metrics: Metrics) -> None:
        """The numbers that the job's row keeps: tried a few times, because nothing follows them."""
        for _ in range(_FINAL_TRIES):
            if self._send(percent=100, remaining=0, metrics={"phase": self._step, **metrics}):
                return

    def close(self) -> None:
        """Nothing: `finish` was the last word."""

    def _send(self, *, percent: int, remaining: float | None, metrics: Metrics) -> bool:
        status: dict[str, Any] = {
            "lastUpdatedTime": datetime.now(UTC).isoformat(timespec="seconds"),
            "progressPercentage": percent,
            "metrics": [
                {"name": name, "value": str(value)}
                for name, value in {**self._used, **metrics}.items()
                if value is not None
            ],
        }
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
        return True
