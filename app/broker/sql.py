"""The default broker: a durable queue in the store. What is acknowledged has been written to the disk."""

from datetime import UTC, datetime

import anyio.to_thread
from sqlalchemy import Engine, delete, insert, select, update

from app.broker import envelope as wire
from app.broker.queue import BrokerUnavailable, Message
from app.contract.internal import DEAD_LETTER_TOPIC, JOBS_TOPIC
from app.contract.job import JobEnvelope
from app.store.engine import StoreUnavailable, reading, writing
from app.store.tables import dead_letters, messages


class SqlPublisher:
    """`Publisher` over the store."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def publish(self, envelope: JobEnvelope, *, traceparent: str | None) -> None:
        await anyio.to_thread.run_sync(self._write, envelope, traceparent)

    def _write(self, envelope: JobEnvelope, traceparent: str | None) -> None:
        row = {
            "topic": JOBS_TOPIC,
            "headers": wire.headers(envelope, traceparent=traceparent),
            "value": wire.value(envelope),
            "key": envelope.tenant,
            "attempts": 0,
            "published_at": (now := datetime.now(UTC)),
            "due_at": now,
        }
        try:
            with writing(self.engine) as connection:
                connection.execute(insert(messages).values(row))
        except StoreUnavailable as error:
            raise BrokerUnavailable(str(error)) from error


class SqlSubscriber:
    """`Subscriber` over the store. Two of them may take one message: consumers are idempotent anyway."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def take(self, *, limit: int) -> list[Message]:
        query = select(messages).where(messages.c.topic == JOBS_TOPIC).order_by(messages.c.id).limit(limit)
        try:
            with reading(self.engine) as connection:
                if connection.execute(query.with_only_columns(messages.c.id).limit(1)).first() is None:
                    return []  # an idle consumer must not take the write lock
            with writing(self.engine) as connection:
                rows = connection.execute(query).all()
                taken = update(messages).where(messages.c.id.in_([row.id for row in rows]))
                connection.execute(taken.values(attempts=messages.c.attempts + 1))
        except StoreUnavailable as error:
            raise BrokerUnavailable(str(error)) from error
        return [Message(row.id, row.headers, row.value, row.attempts + 1) for row in rows]

    def acknowledge(self, message: Message) -> None:
        try:
            with writing(self.engine) as connection:
                connection.execute(delete(messages).where(messages.c.id == message.id))
        except StoreUnavailable as error:
            raise BrokerUnavailable(str(error)) from error

    def reject(self, message: Message, *, reason: str) -> None:
        row = {
            "topic": DEAD_LETTER_TOPIC,
            "position": str(message.id),
            "headers": dict(message.headers),
            "value": message.value,
            "attempts": message.attempts,
            "reason": "poison",
            "error": reason,
            "redrives": 0,
            "traceparent": message.headers.get("traceparent"),
            "rejected_at": datetime.now(UTC),
        }
        try:
            with writing(self.engine) as connection:
                if connection.execute(delete(messages).where(messages.c.id == message.id)).rowcount == 1:
                    connection.execute(insert(dead_letters).values(row))
        except StoreUnavailable as error:
            raise BrokerUnavailable(str(error)) from error
