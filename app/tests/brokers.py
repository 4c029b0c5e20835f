"""Every broker behind one face, for the tests that hold of all of them."""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from sqlalchemy import Engine, select

from app.broker.consuming import drain
from app.broker.dead_letters import DeadLetters
from app.broker.kafka.address import parse
from app.broker.kafka.administration import ensure_topics
from app.broker.kafka.producing import KafkaOutlet
from app.broker.kafka.publisher import KafkaPublisher
from app.broker.kafka.subscriber import KafkaSubscriber
from app.broker.queue import Headers, Message, Outlet, Publisher, Subscriber
from app.broker.sql import SqlOutlet, SqlPublisher, SqlSubscriber
from app.broker.topics import Topics
from app.contract.job import JobEnvelope
from app.store.engine import open_store, reading
from app.store.tables import dead_letters
from app.tests.mock_kafka import MockCluster

if TYPE_CHECKING:
    from app.tests.kafka import KafkaServer

FEW = 50  # messages that are published one by one
SHORT = 0.1  # seconds of every retry level


@dataclass
class Broker:
    """A broker of one kind with nothing in it, and the store beside it."""

    engine: Engine
    topics: Topics
    publisher: Publisher
    outlet: Outlet
    new_subscriber: Callable[[], Subscriber]
    is_kafka: bool = False  # keeps tombstones, acknowledges many at once
    begun: list[Subscriber] = field(default_factory=list)

    def subscriber(self) -> Subscriber:
        """One more consumer of the group."""
        made = self.new_subscriber()
        self.begun.append(made)
        return made

    def publish(self, *envelopes: JobEnvelope, traceparent: str | None = None, tracestate: str | None = None) -> None:
        async def one_by_one() -> None:
            for one in envelopes:
                await self.publisher.publish(one, traceparent=traceparent, tracestate=tracestate)

        async def together() -> None:
            await asyncio.gather(*(self.publisher.publish(one, traceparent=None) for one in envelopes))

        anyio.run(together if self.is_kafka and len(envelopes) > FEW else one_by_one)

    def put(self, value: bytes | None, headers: Headers, *, key: bytes | None = b"acme") -> None:
        """A message that no publisher of ours would write."""
        self.outlet.send(self.topics.jobs, key=key, headers=headers, value=value, due_at=datetime.now(UTC))

    @property
    def letters(self) -> DeadLetters:
        return DeadLetters(self.engine)

    def reasons(self) -> list[str]:
        with reading(self.engine) as connection:
            return [row.reason for row in connection.execute(select(dead_letters.c.reason))]

    def close(self) -> None:
        for subscriber in self.begun:
            subscriber.close()


def wait_until(condition: Callable[[], bool], *, seconds: float = 30.0) -> None:
    """The bound is against hanging alone."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.005)


def taken(subscriber: Subscriber, *, at_least: int = 1) -> list[Message]:
    """What the subscriber gives once it gives so many at a time."""
    found: list[Message] = []

    def enough() -> bool:
        found[:] = subscriber.take(limit=1000)
        return len(found) >= at_least

    wait_until(enough)
    return found


def handle_until(
    subscribers: Sequence[Subscriber], handle: Callable[[Message], None], *, until: Callable[[], bool]
) -> None:
    """Drain in turns until the condition holds."""

    def done() -> bool:
        for subscriber in subscribers:
            drain(subscriber, handle)
        return until()

    wait_until(done)


def short_levels(stem: str = "") -> Topics:
    """The contract's topics below another stem, with short turns."""
    names = Topics()
    levels = tuple((f"{stem}{name}", SHORT) for name, _ in names.levels)
    return Topics(f"{stem}{names.jobs}", levels, f"{stem}{names.dead_letters}", f"{stem}{names.group}")


@contextmanager
def opened(kind: str, folder: Path, server: Any = None) -> Iterator[Broker]:
    """A new broker of the kind; of real ones, in the server that runs."""
    engine = open_store(server if kind == "postgresql" else f"sqlite:///{folder}/store.db")
    with KINDS[kind](engine, server) as broker:
        yield broker
        broker.close()
    engine.dispose()


@contextmanager
def in_store(engine: Engine, _server: Any) -> Iterator[Broker]:
    topics = short_levels()
    subscribe = partial(SqlSubscriber, engine, lease_seconds=60.0, topics=topics)
    yield Broker(engine, topics, SqlPublisher(engine), SqlOutlet(engine), subscribe)


@contextmanager
def on_mock(engine: Engine, _server: Any) -> Iterator[Broker]:
    topics = short_levels()
    cluster = MockCluster([*topics.taken, topics.dead_letters])
    with on_kafka(engine, f"kafka://{cluster.servers}", topics) as broker:
        yield broker
        broker.close()
    cluster.close()


@contextmanager
def on_server(engine: Engine, server: "KafkaServer") -> Iterator[Broker]:
    """In topics and a group that no other test has."""
    topics = short_levels(f"{uuid.uuid4().hex[:8]}.")
    ensure_topics(server.url(), topics=topics)
    with on_kafka(engine, server.url(), topics) as broker:
        yield broker


@contextmanager
def on_kafka(engine: Engine, url: str, topics: Topics) -> Iterator[Broker]:
    address = parse(url)
    publisher = KafkaPublisher(address, topics=topics)
    subscribe = partial(KafkaSubscriber, address, engine, topics=topics)
    yield Broker(engine, topics, publisher, KafkaOutlet(address), subscribe, is_kafka=True)
    publisher.close()


KINDS = {"sqlite": in_store, "postgresql": in_store, "mock": on_mock, "kafka": on_server}
SERVERS = {"postgresql": "postgres", "kafka": "kafka"}  # kind -> fixture
