"""The rights that the platform tree renders, at a real Kafka: each service does its work, and nobody anything else."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from sqlalchemy import Engine

from app.broker.kafka.address import parse
from app.broker.kafka.administration import ensure_topics
from app.broker.kafka.producing import KafkaOutlet
from app.broker.kafka.publisher import KafkaPublisher
from app.broker.kafka.subscriber import KafkaSubscriber
from app.broker.queue import BrokerUnavailable, Failure
from app.broker.topics import Topics
from app.store.engine import open_store
from app.tests.brokers import short_levels, taken, wait_until
from app.tests.conftest import kafka as kafka  # noqa: PLC0414 - a fixture
from app.tests.kafka import KafkaServer
from app.tests.local import envelope
from generators.cluster.broker import USERS

pytestmark = pytest.mark.services
FAILURE = Failure("bad_schema", "never", "PoisonError")


@dataclass(frozen=True)
class Rights:
    """The broker with every user's rendered rights, to topics of this test alone."""

    server: KafkaServer
    topics: Topics
    engine: Engine

    def publish(self, user: str) -> None:
        publisher = KafkaPublisher(parse(self.server.url(user)), topics=self.topics)
        try:
            anyio.run(lambda: publisher.publish(envelope("job"), traceparent=None))
        finally:
            publisher.close()

    def send(self, user: str, topic: str) -> None:
        outlet = KafkaOutlet(parse(self.server.url(user)))
        outlet.send(topic, key=None, headers=(), value=b"x", due_at=envelope("job").created_at)

    def subscriber(self, user: str, *, group: str | None = None) -> KafkaSubscriber:
        topics = Topics(self.topics.jobs, self.topics.levels, self.topics.dead_letters, group or self.topics.group)
        return KafkaSubscriber(parse(self.server.url(user)), self.engine, topics=topics)


@pytest.fixture(scope="module")
def rights(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rights]:
    stem = f"{uuid.uuid4().hex[:8]}."
    topics = short_levels(stem)
    ensure_topics(kafka.url(), topics=topics)
    for user in USERS:
        kafka.allow(user.name, [_below(stem, acl) for acl in user.acls])
    engine = open_store(f"sqlite:///{tmp_path_factory.mktemp('rights')}/store.db")
    yield Rights(kafka, topics, engine)
    engine.dispose()


def _below(stem: str, acl: dict[str, Any]) -> dict[str, Any]:
    return {**acl, "resource": {**acl["resource"], "name": f"{stem}{acl['resource']['name']}"}}


@pytest.mark.requirement("A8", "A14", "A15")
def test_with_its_rights_each_service_does_all_of_its_work(rights: Rights) -> None:
    rights.publish("ingest")
    subscriber = rights.subscriber("dispatcher")
    (message,) = taken(subscriber)
    assert subscriber.retry(message, FAILURE)
    (again,) = taken(subscriber)
    subscriber.reject(again, FAILURE)
    rights.send("dispatcher", rights.topics.levels[0][0])  # as a redriven letter is
    subscriber.acknowledge(taken(subscriber)[0])
    subscriber.close()


def test_a_service_writes_to_no_topic_but_its_own(rights: Rights) -> None:
    retries, dead = rights.topics.levels[0][0], rights.topics.dead_letters
    for user, topic in [("ingest", retries), ("ingest", dead), ("dispatcher", rights.topics.jobs)]:
        with pytest.raises(BrokerUnavailable, match="authorization failed"):
            rights.send(user, topic)


def test_ingest_reads_no_job_and_the_dispatcher_joins_no_other_group(rights: Rights) -> None:
    for subscriber in (rights.subscriber("ingest"), rights.subscriber("dispatcher", group="others")):
        assert_refused(subscriber)


def test_an_account_without_rights_neither_writes_nor_reads(rights: Rights) -> None:
    with pytest.raises(BrokerUnavailable, match="authorization failed"):
        rights.publish("trainer")
    assert_refused(rights.subscriber("trainer"))


def assert_refused(subscriber: KafkaSubscriber) -> None:
    told: list[str] = []

    def refused() -> bool:
        try:
            assert subscriber.take(limit=9) == []
        except BrokerUnavailable as error:
            told.append(str(error))
        return bool(told)

    wait_until(refused)
    subscriber.close()
    assert "authorization failed" in told[0].lower()
