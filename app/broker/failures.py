"""What is added to a message that failed: headers under one prefix, beside its own, which stay as they were.

The names are those of Kafka Connect's error headers (KIP-298) under our prefix. A retried message keeps the place and
time of its first failure, however many topics it went through.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from app.broker.queue import Failure, Headers, Message
from app.contract.internal import DISPATCHER_GROUP, FAILURE_HEADERS

MOST_STACK = 4096  # characters of a stack, its end
MOST_ERROR = 1024  # characters
_DUE_AT = f"{FAILURE_HEADERS}due_at"


@dataclass(frozen=True)
class History:
    """What befell a message before it was found here."""

    topic: str
    partition: int
    offset: int
    timestamp: datetime
    attempts: int = 0  # that failed
    redrives: int = 0  # how often an operator sent it again
    first_failed_at: datetime | None = None

    @property
    def position(self) -> str:
        return f"{self.partition}:{self.offset}"


def own(headers: Headers) -> Headers:
    """The message's own headers."""
    return tuple(pair for pair in headers if not pair[0].startswith(FAILURE_HEADERS))


def history(message: Message) -> History:
    """What the message's failure headers say; anything unreadable in them counts as not said."""
    found = _found(message.raw)
    here = History(message.topic, message.partition, message.offset, message.published_at)
    redrives = _number(found, "redrives") or 0
    partition, offset, timestamp = _number(found, "partition"), _number(found, "offset"), _moment(found, "timestamp")
    if "topic" not in found or partition is None or offset is None or timestamp is None:
        return replace(here, redrives=redrives)
    first = _moment(found, "first_failed_at")
    return History(found["topic"], partition, offset, timestamp, _number(found, "attempts") or 0, redrives, first)


def attempts(headers: Headers) -> int:
    """Which attempt the next one is, from 1."""
    return (_number(_found(headers), "attempts") or 0) + 1


def due_at(headers: Headers) -> datetime | None:
    """When a message of a retry topic is to be taken, or None where nothing readable says so: now."""
    return _moment(_found(headers), "due_at")


def failed(message: Message, failure: Failure, *, now: datetime, due: datetime | None = None) -> Headers:
    """All headers of the message for its next topic; `due` where that is a retry topic."""
    before = history(message)
    said = {
        "topic": before.topic,
        "partition": str(before.partition),
        "offset": str(before.offset),
        "timestamp": before.timestamp.isoformat(),
        "group": DISPATCHER_GROUP,
        "attempts": str(message.attempts),
        "reason": failure.reason,
        "error_class": failure.error_class,
        "error": failure.error[:MOST_ERROR],
        "stack": failure.stack[-MOST_STACK:],
        "first_failed_at": (before.first_failed_at or now).isoformat(),
        **({"due_at": due.isoformat()} if due else {}),
        **({"redrives": str(before.redrives)} if before.redrives else {}),
    }
    return (*own(message.raw), *((f"{FAILURE_HEADERS}{name}", _bytes(text)) for name, text in said.items() if text))


def redriven(headers: Headers, *, redrives: int, due: datetime) -> Headers:
    """Headers of a dead letter that is sent again: as new, but counted."""
    return (*own(headers), (f"{FAILURE_HEADERS}redrives", _bytes(str(redrives))), (_DUE_AT, _bytes(due.isoformat())))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _found(headers: Headers) -> Mapping[str, str]:
    return {
        name.removeprefix(FAILURE_HEADERS): (value or b"").decode("utf-8", "replace")
        for name, value in headers
        if name.startswith(FAILURE_HEADERS)
    }


def _number(found: Mapping[str, str], name: str) -> int | None:
    text = found.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None  # noqa: PLR2004 - 64 bits


def _moment(found: Mapping[str, str], name: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(found.get(name, ""))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
