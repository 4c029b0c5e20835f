"""Finished parts of an evaluation, kept in the attempt's folder: started again, it measures only what is left."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from trainer.attempt import AttemptFolder
from trainer.contract.bucket import PARTIAL
from trainer.publishing.manifest import to_json, write_whole

_REPORTED = "reported"  # a part of its own: fingerprint of the choices
_log = logging.getLogger(__name__)


def fingerprint(facts: Mapping[str, Any]) -> str:
    """Of all that decides the figures: parts of another adapter, data set or choice of checks are not taken."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class Partial:
    """`{"fingerprint": hex, "parts": {name: JSON}}`. writes: whether this rank keeps what it measures."""

    def __init__(self, attempt: AttemptFolder, fingerprint: str, *, writes: bool = True) -> None:
        self._attempt, self._fingerprint, self._writes = attempt, fingerprint, writes
        self._parts = self._kept()

    def __contains__(self, name: str) -> bool:
        return name in self._parts

    def once(self, name: str, measure: Callable[[], Any]) -> Any:
        """The part as it was kept, or as it is measured now. Raises Unavailable when it cannot be kept."""
        if name not in self._parts:
            self._parts[name] = measure()
            if self._writes:
                self._write()
        return self._parts[name]

    def is_reported(self, choices: str) -> bool:
        """Whether the report was written of these choices, which decide more than the parts."""
        return self._parts.get(_REPORTED) == choices

    def report(self, choices: str) -> None:
        """After the report of these choices was written. Raises Unavailable."""
        self._parts[_REPORTED] = choices
        if self._writes:
            self._write()

    def _kept(self) -> dict[str, Any]:
        content = self._attempt.read(PARTIAL)
        try:
            document = {} if content is None else json.loads(content)
            if document.get("fingerprint") == self._fingerprint:
                return dict(document["parts"])
        except (ValueError, KeyError, TypeError, AttributeError):
            _log.warning("%s: cannot be read; the evaluation begins anew", PARTIAL)
        return {}

    def _write(self) -> None:
        path = self._attempt.local / PARTIAL
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, to_json({"fingerprint": self._fingerprint, "parts": self._parts}).encode())
        self._attempt.push_file(PARTIAL)
