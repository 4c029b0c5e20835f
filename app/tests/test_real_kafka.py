"""A real Apache Kafka that is killed: what it acknowledged is there, and services go on by themselves."""

import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

from app.broker.by_url import subscriber
from app.broker.kafka.address import parse
from app.broker.kafka.administration import ensure_topics
from app.broker.kafka.publisher import KafkaPublisher
from app.broker.queue import BrokerUnavailable, Message
from app.tests.brokers import Broker, handle_until, opened, wait_until
from app.tests.local import JobPath, envelope

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
    consumer = broker.subscriber()

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
    handle_until([consumer], handle, until=lambda: found.issuperset(acknowledged))
    assert len(acknowledged) >= BEFORE + AFTER
    assert len([job for job in acknowledged if job.startswith("after")]) == AFTER


@pytest.mark.requirement("A9", "A12", "A13")
def test_a_job_becomes_one_workflow_though_its_publisher_and_its_dispatcher_were_killed(
    kafka: "KafkaServer", tmp_path: Path
) -> None:
    ensure_topics(kafka.url())
    job, path = f"job-{uuid.uuid4().hex[:8]}", JobPath(tmp_path / "home", slots=9)
    publishing = (
        "import anyio, os, signal; from app.broker.by_url import publisher; from app.tests.local import envelope;"
        f"made = publisher({kafka.url()!r}, None);"
        f"anyio.run(lambda: made.publish(envelope({job!r}), traceparent=None)); os.kill(os.getpid(), signal.SIGKILL)"
    )
    for _ in range(2):  # its client was told nothing, and sent it again
        assert subprocess.run([sys.executable, "-c", publishing], check=False, timeout=60).returncode == -signal.SIGKILL
    made = path.dispatcher()
    made.subscriber = doomed = subscriber(kafka.url(), path.engine)
    wait_until(lambda: bool(doomed.take(limit=9)))  # taken, and never settled
    doomed.close()
    made.subscriber = subscriber(kafka.url(), path.engine)

    def is_made() -> bool:
        made.round()
        return bool(path.attempts.live())

    wait_until(is_made)
    made.round()
    assert [status.name for status in path.workflows.list()] == [f"ft-{job}-a1"]
    made.subscriber.close()
    path.engine.dispose()


@pytest.mark.requirement("A15")
def test_wrong_credentials_are_told_before_the_deadline(kafka: "KafkaServer") -> None:
    publisher = KafkaPublisher(parse(kafka.url().replace(":password", ":another")), deadline_seconds=30)
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(BrokerUnavailable, match="TENON_BROKER_URL"):
            anyio.run(lambda: publisher.publish(envelope("job"), traceparent=None))
    assert time.monotonic() - began < 30
    publisher.close()
