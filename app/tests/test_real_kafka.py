"""A real Apache Kafka that is killed: what it acknowledged is there, and services go on by themselves."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

from app.broker.kafka.address import parse
from app.broker.kafka.publisher import KafkaPublisher
from app.broker.queue import BrokerUnavailable, Message
from app.tests.brokers import Broker, handle_until, opened
from app.tests.local import envelope

if TYPE_CHECKING:
    from app.tests.kafka import KafkaServer

pytestmark = pytest.mark.services

BEFORE, DURING, AFTER = 200, 200, 200


@pytest.fixture
def broker(kafka: "KafkaServer", tmp_path: Path) -> Iterator[Broker]:
    with opened("kafka", tmp_path, kafka) as made:
        yield made


@pytest.mark.requirement("A13")
def test_what_a_killed_broker_acknowledged_is_there(kafka: "KafkaServer", broker: Broker) -> None:
    acknowledged: list[str] = []
    found: set[str] = set()
    subscriber = broker.subscriber()

    async def publish(job: str) -> None:
        try:
            await broker.publisher.publish(envelope(job), traceparent=None)
            acknowledged.append(job)
        except BrokerUnavailable:
            pass  # 503: its client sends it again

    async def storm(name: str, many: int, *, killing: bool = False) -> None:
        async with anyio.create_task_group() as group:
            for number in range(many):
                group.start_soon(publish, f"{name}{number}")
            if killing:
                group.start_soon(anyio.to_thread.run_sync, kafka.kill)

    async def whole() -> None:
        await storm("before", BEFORE)
        await storm("during", DURING, killing=True)
        await anyio.to_thread.run_sync(kafka.start)
        await storm("after", AFTER)

    def handle(message: Message) -> None:
        found.add(message.headers["ce_id"])

    anyio.run(whole)
    handle_until([subscriber], handle, until=lambda: found.issuperset(acknowledged))
    assert len(acknowledged) >= BEFORE + AFTER
    assert len([job for job in acknowledged if job.startswith("after")]) == AFTER


@pytest.mark.requirement("A15")
def test_wrong_credentials_are_told_before_the_deadline(kafka: "KafkaServer") -> None:
    publisher = KafkaPublisher(parse(kafka.url().replace(":password", ":another")), deadline_seconds=30)
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(BrokerUnavailable, match="TENON_BROKER_URL"):
            anyio.run(lambda: publisher.publish(envelope("job"), traceparent=None))
    assert time.monotonic() - began < 30
    publisher.close()
