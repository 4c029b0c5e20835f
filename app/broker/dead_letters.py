"""The dead letters: one table in the store, whichever broker they came from.

There they are listed and settled. On Kafka they also go to DEAD_LETTER_TOPIC, for whoever watches the topics alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Engine, Row, and_, func, insert, select, update

from app.broker.failures import MOST_ERROR, history, own
from app.broker.queue import Failure, Headers, Message
from app.store.engine import reading, writing
from app.store.tables import dead_letters

Settled = Literal["redriven", "discarded"]
_TENANT_LENGTH = 64


@dataclass(frozen=True)
class DeadLetter:
    """One message that was set aside, as it was first found."""

    id: int
    topic: str
    position: str
    key: bytes | None
    tenant: str | None  # as far as it could be read
    headers: Headers
    value: bytes | None
    attempts: int
    reason: str
    error: str
    traceparent: str | None
    redrives: int
    rejected_at: datetime
    settled_at: datetime | None
    settled: Settled | None


@dataclass(frozen=True)
class Selection:
    """Which dead letters; None is any. Settled ones are never among them."""

    tenant: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def condition(self) -> Any:
        columns = dead_letters.c
        wanted: list[ColumnElement[bool]] = [columns.settled_at.is_(None)]
        wanted += [] if self.tenant is None else [columns.tenant == self.tenant]
        wanted += [] if self.reason is None else [columns.reason == self.reason]
        wanted += [] if self.since is None else [columns.rejected_at >= self.since]
        wanted += [] if self.until is None else [columns.rejected_at < self.until]
        return and_(*wanted)


class DeadLetters:
    """For operators and gauges. Methods raise StoreUnavailable."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def list(self, selection: Selection, *, after: int = 0, limit: int) -> Sequence[DeadLetter]:
        """At most `limit`, oldest first, that follow the letter `after`."""
        query = select(dead_letters).where(selection.condition(), dead_letters.c.id > after)
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(dead_letters.c.id).limit(limit))
            return [_letter(row) for row in rows]

    def get(self, letter: int) -> DeadLetter | None:
        with reading(self.engine) as connection:
            row = connection.execute(select(dead_letters).where(dead_letters.c.id == letter)).one_or_none()
        return _letter(row) if row else None

    def settle(self, letter: int, settled: Settled) -> bool:
        """Note what became of a letter. False: it was settled before."""
        open_ = and_(dead_letters.c.id == letter, dead_letters.c.settled_at.is_(None))
        values = {"settled": settled, "settled_at": datetime.now(UTC)}
        with writing(self.engine) as connection:
            return connection.execute(update(dead_letters).where(open_).values(values)).rowcount == 1

    def depth(self) -> int:
        """How many wait for an operator."""
        query = select(func.count()).select_from(dead_letters).where(dead_letters.c.settled_at.is_(None))
        with reading(self.engine) as connection:
            return connection.execute(query).scalar_one()


def keep(connection: Connection, message: Message, failure: Failure) -> None:
    """Write the letter, once: a consumer that died before it told its broker finds the message again."""
    before, headers = history(message), own(message.raw)
    row = {
        "topic": before.topic,
        "position": before.position,
        "key": _text(message.key),
        "tenant": _tenant(message),
        "headers": to_json(headers),
        "value": message.value or b"",
        "attempts": message.attempts,
        "reason": failure.reason,
        "error": failure.error[:MOST_ERROR],
        "traceparent": message.headers.get("traceparent", "")[:64] or None,
        "redrives": before.redrives,
        "rejected_at": datetime.now(UTC),
    }
    same = and_(*(dead_letters.c[name] == row[name] for name in ("topic", "position", "value", "redrives")))
    if connection.execute(select(dead_letters.c.id).where(same, dead_letters.c.settled_at.is_(None))).first() is None:
        connection.execute(insert(dead_letters).values(row))


def to_json(headers: Headers) -> Sequence[Sequence[str | None]]:
    """Headers for a JSON column: pairs; bytes that are no UTF-8 are escaped, so that they come back the same."""
    return [[name, None if value is None else value.decode("utf-8", "surrogateescape")] for name, value in headers]


def from_json(pairs: Sequence[Sequence[str]]) -> Headers:
    return tuple((name, None if text is None else text.encode("utf-8", "surrogateescape")) for name, text in pairs)


def _text(key: bytes | None) -> str | None:
    return None if key is None else key.decode("utf-8", "replace").replace("\0", "\ufffd")[:_TENANT_LENGTH]


def _tenant(message: Message) -> str | None:
    said = message.headers.get("ce_partitionkey", "").encode("utf-8", "surrogateescape")
    return _text(said or message.key)


def _letter(row: Row[Any]) -> DeadLetter:
    columns = {column.name: getattr(row, column.name) for column in dead_letters.c}
    columns["headers"] = from_json(columns["headers"])
    columns["key"] = None if columns["key"] is None else columns["key"].encode()
    columns["value"] = None if columns["reason"] == "tombstone" else columns["value"]
    return DeadLetter(**columns)
