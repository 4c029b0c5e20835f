"""The default broker: a durable queue in the store. What is acknowledged has been written to the disk.

One row per message. A consumer takes rows by a lease, which a dead one's ends by itself; on PostgreSQL consumers pass
by each other's rows (SKIP LOCKED), on SQLite they take turns. Rows of all topics are taken oldest first once due.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Row, and_, delete, insert, or_, select, update

from app.broker import envelope as wire
from app.broker import failures
from app.broker.dead_letters import from_json, keep, to_json
from app.broker.queue import BrokerUnavailable, Failure, Headers, Message
from app.broker.topics import TOPICS, Topics
from app.contract.job import JobEnvelope
from app.store.commits import GroupCommit
from app.store.engine import StoreUnavailable, reading, writing
from app.store.tables import messages

LEASE_SECONDS = 5.0  # a batch takes far less; past it, another consumer may do the same once more
_PARTITION = 0


class SqlOutlet:
    """`Outlet` into the store."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def send(self, topic: str, *, key: bytes | None, headers: Headers, value: bytes | None, due_at: datetime) -> None:
        row = _row(topic, key=key, headers=headers, value=value, due_at=due_at)
        with _told(), writing(self.engine) as connection:
            connection.execute(insert(messages).values(row))


class SqlPublisher:
    """`Publisher` into the store; what is published at once shares a transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._commits = GroupCommit(self._write)

    async def publish(self, envelope: JobEnvelope, *, traceparent: str | None, tracestate: str | None = None) -> None:
        await self._commits.add(row_of(envelope, traceparent=traceparent, tracestate=tracestate))

    def _write(self, rows: list[dict[str, Any]]) -> None:
        with _told(), writing(self.engine) as connection:
            connection.execute(insert(messages), rows)


class SqlSubscriber:
    """`Subscriber` over the store."""

    def __init__(self, engine: Engine, *, lease_seconds: float = LEASE_SECONDS, topics: Topics = TOPICS) -> None:
        self.engine = engine
        self._lease = timedelta(seconds=lease_seconds)
        self._topics = topics
        self._held: set[int] = set()  # taken and not settled
        self._done: set[int] = set()  # acknowledged, and not yet deleted

    def take(self, *, limit: int) -> list[Message]:
        self._delete_done()
        with _told():
            with reading(self.engine) as connection:
                if connection.execute(select(messages.c.id).where(self._mine()).limit(1)).first() is None:
                    return []  # an idle consumer must not take the write lock
            query = select(messages).where(self._mine()).order_by(messages.c.id).limit(limit)
            with writing(self.engine) as connection:
                rows = connection.execute(query.with_for_update(skip_locked=True)).all()
                taken = update(messages).where(messages.c.id.in_([row.id for row in rows]))
                connection.execute(taken.values(taken_until=datetime.now(UTC) + self._lease))
        self._held = {row.id for row in rows}
        return [_message(row) for row in rows]

    def acknowledge(self, message: Message) -> None:
        self._held.discard(message.offset)
        self._done.add(message.offset)

    def retry(self, message: Message, failure: Failure) -> bool:
        if (level := self._topics.next_level(message.attempts)) is None:
            return False
        topic, seconds = level
        now = datetime.now(UTC)
        due = now + timedelta(seconds=seconds)
        values = {
            "topic": topic,
            "headers": to_json(failures.failed(message, failure, now=now, due=due)),
            "attempts": message.attempts,
            "due_at": due,
            "taken_until": None,
        }
        with _told(), writing(self.engine) as connection:
            connection.execute(update(messages).where(messages.c.id == message.offset).values(values))
        self._held.discard(message.offset)
        return True

    def reject(self, message: Message, failure: Failure) -> None:
        with _told(), writing(self.engine) as connection:
            if connection.execute(delete(messages).where(messages.c.id == message.offset)).rowcount == 1:
                keep(connection, message, failure)
        self._held.discard(message.offset)

    def close(self) -> None:
        try:
            self._delete_done()
        except BrokerUnavailable:
            self._done.clear()

    def _mine(self) -> Any:
        """Due, and either held by us or by nobody that lives."""
        now, columns = datetime.now(UTC), messages.c
        free = or_(columns.taken_until.is_(None), columns.taken_until <= now, columns.id.in_(self._held))
        return and_(columns.topic.in_(self._topics.taken), columns.due_at <= now, free)

    def _delete_done(self) -> None:
        if self._done:
            with _told(), writing(self.engine) as connection:
                connection.execute(delete(messages).where(messages.c.id.in_(self._done)))
            self._done.clear()


def row_of(envelope: JobEnvelope, *, traceparent: str | None, tracestate: str | None = None) -> dict[str, Any]:
    """A job's message as a row of `messages`, due at once."""
    headers = wire.raw(wire.headers(envelope, traceparent=traceparent, tracestate=tracestate))
    key, value = envelope.tenant.encode(), wire.value(envelope)
    return _row(TOPICS.jobs, key=key, headers=headers, value=value, due_at=datetime.now(UTC))


def _row(topic: str, *, key: bytes | None, headers: Headers, value: bytes | None, due_at: datetime) -> dict[str, Any]:
    return {
        "topic": topic,
        "key": None if key is None else key.decode(),
        "headers": to_json(headers),
        "value": value or b"",
        "attempts": 0,
        "published_at": datetime.now(UTC),
        "due_at": due_at,
    }


def _message(row: Row[Any]) -> Message:
    headers = from_json(row.headers)
    key = None if row.key is None else row.key.encode()
    attempts = failures.attempts(headers)
    return Message(row.topic, _PARTITION, row.id, key, headers, row.value, row.published_at, attempts)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except StoreUnavailable as error:
        raise BrokerUnavailable(str(error)) from error
