"""Kafka in trouble: a request is answered within its deadline, honestly, and what is acknowledged is there."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from sqlalchemy import Engine

from app.broker.envelope import received, value
from app.broker.kafka.address import Address, parse
from app.broker.kafka.publisher import KafkaPublisher
from app.broker.queue import BrokerUnavailable, Failure, Message
from app.settings import SettingsError
from app.tests.brokers import Broker, handle_until, on_kafka, short_levels, taken, wait_until
from app.tests.local import envelope
from app.tests.mock_kafka import (
    INIT_PRODUCER_ID,
    NO_CLUSTER_RIGHT,
    NO_RIGHT,
    NOT_LEADER,
    PARTITIONS,
    PRODUCE,
    REFUSED,
    MockCluster,
)
from app.tests.serving import serve

TOPICS = short_levels()
DEADLINE = 2.5  # seconds; a first connection takes most of one on a busy machine
NAMELESS = 12  # so many that the interpreter takes its fast paths


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    made = MockCluster([*TOPICS.taken, TOPICS.dead_letters])
    yield made
    made.close()


@pytest.fixture
def broker(cluster: MockCluster, engine: Engine) -> Iterator[Broker]:
    with on_kafka(engine, f"kafka://{cluster.servers}", TOPICS) as made:
        yield made
        made.close()


@pytest.fixture
def hasty(cluster: MockCluster) -> Iterator[KafkaPublisher]:
    """A publisher with a short deadline."""
    made = KafkaPublisher(parse(f"kafka://{cluster.servers}"), deadline_seconds=DEADLINE)
    yield made
    made.close()


def publish(publisher: KafkaPublisher, job: str = "job") -> None:
    async def send() -> None:
        with anyio.fail_after(30):
            await publisher.publish(envelope(job), traceparent=None)

    anyio.run(send)


def is_published(publisher: KafkaPublisher, job: str = "job") -> bool:
    """A first connection may take longer than a short deadline."""
    try:
        publish(publisher, job)
    except BrokerUnavailable:
        return False
    return True


@pytest.mark.requirement("A13")
def test_a_leader_that_moves_costs_no_message(cluster: MockCluster, broker: Broker) -> None:
    subscriber = broker.subscriber()
    cluster.refuse(PRODUCE, NOT_LEADER, times=2)
    broker.publish(envelope("first"))
    for partition in range(PARTITIONS):
        cluster.move_leader(TOPICS.jobs, partition, 2)
    broker.publish(envelope("second"))
    assert [message.headers["ce_id"] for message in taken(subscriber, at_least=2)] == ["first", "second"]


def test_a_publisher_without_rights_is_told_so(cluster: MockCluster, hasty: KafkaPublisher) -> None:
    cluster.refuse(PRODUCE, NO_RIGHT, times=4)
    with pytest.raises(BrokerUnavailable, match="authorization failed") as raised:
        publish(hasty)
    assert "TENON_BROKER_URL" in str(raised.value)


@pytest.mark.requirement("A15")
def test_a_request_is_answered_503_within_the_deadline_when_all_brokers_are_down(
    cluster: MockCluster, hasty: KafkaPublisher, tmp_path: Path
) -> None:
    api = serve(tmp_path, publisher=hasty)
    wait_until(lambda: api.submit(headers={"Idempotency-Key": "first"}).status_code == 202)
    cluster.set_down()
    answer = api.submit()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert answer.elapsed.total_seconds() < 10 * DEADLINE
    cluster.set_down(up=True)
    wait_until(lambda: api.submit(headers={"Idempotency-Key": "again"}).status_code == 202)


@pytest.mark.requirement("A15")
def test_a_broker_that_answers_late_is_not_waited_for(cluster: MockCluster, hasty: KafkaPublisher) -> None:
    wait_until(lambda: is_published(hasty))
    cluster.answer_late(60_000)
    with pytest.raises(BrokerUnavailable, match="time"):
        publish(hasty)


def test_a_full_queue_is_told_at_once(cluster: MockCluster) -> None:
    address = parse(f"kafka://{cluster.servers}")
    small = {**address.client, "queue.buffering.max.kbytes": 1}
    publisher = KafkaPublisher(Address(small, address.group_protocol, address.shown), deadline_seconds=DEADLINE)
    cluster.set_down()

    async def flood() -> list[str]:
        faults: list[str] = []

        async def one(job: str) -> None:
            try:
                await publisher.publish(envelope(job), traceparent=None)
            except BrokerUnavailable as error:
                faults.append(str(error))

        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(one, f"job{number}")
        return faults

    faults = anyio.run(flood)
    publisher.close()
    assert len(faults) == 4
    assert "queue" in faults[0].lower()


@pytest.mark.requirement("A15")
def test_a_consumer_without_a_broker_finds_nothing_and_goes_on_after_it(cluster: MockCluster, broker: Broker) -> None:
    subscriber = broker.subscriber()
    broker.publish(envelope("first"))
    subscriber.acknowledge(taken(subscriber)[0])
    cluster.set_down()
    assert [subscriber.take(limit=9) for _ in range(3)] == [[], [], []]
    cluster.set_down(up=True)
    broker.publish(envelope("second"))
    assert [message.headers["ce_id"] for message in taken(subscriber)] == ["second"]


def test_a_message_that_cannot_be_set_aside_stays(cluster: MockCluster, broker: Broker) -> None:
    subscriber = broker.subscriber()
    broker.publish(envelope("job"))
    (message,) = taken(subscriber)
    for refuse in (subscriber.retry, subscriber.reject):
        cluster.refuse(PRODUCE, REFUSED, times=1)
        with pytest.raises(BrokerUnavailable):
            refuse(message, Failure("bad_schema", "never", "PoisonError"))
        assert [again.id for again in subscriber.take(limit=9)] == [message.id]
    subscriber.reject(message, Failure("bad_schema", "never", "PoisonError"))
    assert broker.letters.depth() == 1  # though it was written down before


@pytest.mark.requirement("A14")
def test_a_header_that_no_client_can_name_stops_no_partition(cluster: MockCluster, broker: Broker) -> None:
    subscriber, jobs = broker.subscriber(), list[str]()
    for _ in range(NAMELESS):
        cluster.put_nameless(TOPICS.jobs, value(envelope("job")))
    for number in range(4 * PARTITIONS):
        broker.publish(envelope(f"job{number}", f"tenant{number}"))

    def handle(message: Message) -> None:
        jobs.append(received(message.headers, message.value).envelope.id)

    handle_until([subscriber], handle, until=lambda: len(jobs) == 4 * PARTITIONS and broker.letters.depth() == NAMELESS)
    assert broker.reasons() == ["bad_header"] * NAMELESS


@pytest.mark.parametrize(
    "url",
    [
        "kafka://",
        "kafka://host:port",
        "kafka://host/topic",
        "kafka://host?acks=0",
        "kafka://host?groupProtocol=share",
    ],
)
def test_an_address_that_is_not_understood_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="TENON_BROKER_URL") as raised:
        parse(url.replace("kafka://", "kafka://user:hunter2@"))
    assert "hunter2" not in str(raised.value)


def test_an_address_names_servers_user_and_trust() -> None:
    address = parse("kafka://in%40gest:p%2Fw@one:9093,two,[::1]?tls=true&ca=/ca.pem&groupProtocol=classic")
    assert address.client["bootstrap.servers"] == "one:9093,two:9092,[::1]:9092"
    assert (address.client["sasl.username"], address.client["sasl.password"]) == ("in@gest", "p/w")
    assert (address.client["security.protocol"], address.client["ssl.ca.location"]) == ("SASL_SSL", "/ca.pem")
    assert (address.group_protocol, "p/w" in address.shown) == ("classic", False)


def test_a_producer_that_is_dead_for_good_is_followed_by_another(cluster: MockCluster, hasty: KafkaPublisher) -> None:
    cluster.refuse(INIT_PRODUCER_ID, NO_CLUSTER_RIGHT, times=1)
    with pytest.raises(BrokerUnavailable, match="authorization failed"):
        publish(hasty)

    wait_until(lambda: is_published(hasty, "again"))  # once the first one has been buried
