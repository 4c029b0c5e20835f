"""What holds of every broker: what is acknowledged stays, what cannot be mended is set aside, nothing is held up."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from app.broker.consuming import drain
from app.broker.dead_letters import Selection
from app.broker.envelope import PoisonError, Reason, headers, raw, received, value
from app.broker.failures import MOST_STACK
from app.broker.queue import Headers, Message
from app.broker.redriving import Redriver
from app.contract.internal import FAILURE_HEADERS
from app.store.engine import StoreUnavailable, writing
from app.store.jobs import Jobs
from app.store.tables import jobs as job_rows
from app.store.tables import messages
from app.tests.brokers import SERVERS, SHORT, Broker, handle_until, opened, taken
from app.tests.local import count, envelope

GOOD = raw(headers(envelope("job"), traceparent="00-trace"))


REAL = (pytest.param(kind, marks=pytest.mark.services) for kind in SERVERS)


@pytest.fixture(params=["sqlite", "mock", *REAL])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """One of each kind in turn."""
    server = request.getfixturevalue(SERVERS[request.param]) if request.param in SERVERS else None
    with opened(request.param, tmp_path, server) as made:
        yield made


class Handled(list[str]):
    """Notes the jobs it is given, and fails at those whose id says so."""

    def __call__(self, message: Message) -> None:
        job = message.headers["ce_id"]
        self.append(job)
        if job.startswith("bad"):
            raise RuntimeError("broken")
        if job.startswith("poison"):
            raise PoisonError(Reason.BAD_SCHEMA, "never")


def test_a_message_arrives_as_it_was_published(broker: Broker) -> None:
    subscriber = broker.subscriber()
    broker.publish(envelope("job"), traceparent="00-trace", tracestate="a=b")
    (message,) = taken(subscriber)
    assert (message.key, message.value, message.attempts) == (b"acme", value(envelope("job")), 1)
    assert message.headers == headers(envelope("job"), traceparent="00-trace", tracestate="a=b")
    assert received(message.headers, message.value).envelope == envelope("job")


def test_a_message_comes_again_until_it_is_acknowledged(broker: Broker) -> None:
    subscriber = broker.subscriber()
    broker.publish(envelope("job"))
    (message,) = taken(subscriber)
    assert [again.id for again in subscriber.take(limit=9)] == [message.id]
    subscriber.acknowledge(message)
    assert subscriber.take(limit=9) == []
    subscriber.close()
    later = broker.subscriber()
    broker.publish(envelope("next"))
    assert [found.headers["ce_id"] for found in taken(later)] == ["next"]


def test_the_jobs_of_a_tenant_come_in_their_order(broker: Broker) -> None:
    subscriber = broker.subscriber()
    wanted = [f"job{number}" for number in range(20)]
    broker.publish(*(envelope(job) for job in wanted))
    handled = Handled()
    handle_until([subscriber], handled, until=lambda: len(handled) == len(wanted))
    assert handled == wanted


@pytest.mark.requirement("A13", "A15")
def test_a_failing_message_gets_every_turn_and_holds_up_none(broker: Broker) -> None:
    subscriber, handled = broker.subscriber(), Handled()
    broker.publish(envelope("bad"), envelope("good"))
    began = time.monotonic()
    handle_until([subscriber], handled, until=lambda: broker.letters.depth() == 1)
    levels = len(broker.topics.levels)
    assert Counter(handled) == {"bad": levels + 1, "good": 1}
    assert handled[:2] == ["bad", "good"]
    assert time.monotonic() - began >= SHORT * levels  # no turn came before it was due
    assert broker.reasons() == [Reason.ATTEMPTS_EXHAUSTED]


@pytest.mark.requirement("A14")
def test_a_dead_letter_is_the_message_as_it_was_first_found(broker: Broker) -> None:
    subscriber = broker.subscriber()
    broker.publish(envelope("bad"), traceparent="00-trace")
    (first,) = taken(subscriber)
    handle_until([subscriber], Handled(), until=lambda: broker.letters.depth() == 1)
    (letter,) = broker.letters.list(Selection(), limit=9)
    assert (letter.headers, letter.key, letter.value) == (first.raw, first.key, first.value)
    assert (letter.topic, letter.position) == (broker.topics.jobs, first.id)
    assert (letter.attempts, letter.redrives) == (len(broker.topics.levels) + 1, 0)
    assert (letter.tenant, letter.traceparent, letter.error) == ("acme", "00-trace", "RuntimeError: broken")


def test_a_message_that_waits_says_what_befell_it_beside_its_own_headers(broker: Broker) -> None:
    subscriber = broker.subscriber()
    broker.publish(envelope("bad"))
    (first,) = taken(subscriber)
    drain(subscriber, Handled())
    (again,) = taken(subscriber)
    said = {name.removeprefix(FAILURE_HEADERS): text for name, text in again.headers.items() if FAILURE_HEADERS in name}
    assert again.raw[: len(first.raw)] == first.raw
    assert (again.topic, again.attempts) == (broker.topics.levels[0][0], 2)
    assert f"{said['topic']} {said['partition']}:{said['offset']}" == f"{broker.topics.jobs} {first.id}"
    assert (said["attempts"], said["error_class"], said["error"]) == ("1", "RuntimeError", "RuntimeError: broken")
    assert (said["reason"], said["group"]) == (Reason.ATTEMPTS_EXHAUSTED, "dispatcher")
    assert said["stack"].endswith("RuntimeError: broken\n")
    assert len(said["stack"]) <= MOST_STACK


UNREADABLE: list[tuple[str, bytes | None, Headers]] = [
    (Reason.TOMBSTONE, None, GOOD),
    (Reason.BAD_SCHEMA, b"\xff\x00", GOOD),
    (Reason.OVERSIZED, b" " * ((1 << 20) + 1), GOOD),
    (Reason.BAD_HEADER, value(envelope("job")), ()),
    (Reason.BAD_HEADER, value(envelope("job")), (*GOOD, ("odd", b"once"), ("odd", b"\xff\xfe"))),
    (Reason.WRONG_VERSION, value(envelope("job")), (*GOOD, ("ce_type", b"dev.tenon.finetuning.job.v9"))),
]


@pytest.mark.requirement("A8", "A14")
def test_what_cannot_be_read_is_a_dead_letter_at_once_and_stops_nothing(broker: Broker) -> None:
    subscriber, jobs = broker.subscriber(), Jobs(broker.engine)
    unreadable = [one for one in UNREADABLE if broker.is_kafka or one[1] is not None]
    for _, body, pairs in unreadable:
        broker.put(body, pairs)
    broker.publish(envelope("good"))

    def handle(message: Message) -> None:
        jobs.insert_or_ignore(received(message.headers, message.value).envelope, traceparent=None)

    handle_until([subscriber], handle, until=lambda: jobs.find("good") is not None)
    letters = broker.letters.list(Selection(), limit=99)
    assert [(letter.reason, letter.attempts) for letter in letters] == [(reason, 1) for reason, _, _ in unreadable]
    assert [letter.headers for letter in letters] == [pairs for _, _, pairs in unreadable]
    assert [letter.value for letter in letters] == [body for _, body, _ in unreadable]


def test_an_outage_is_no_fault_of_the_message(broker: Broker) -> None:
    subscriber = broker.subscriber()
    broker.publish(envelope("first"), envelope("second"))
    taken(subscriber, at_least=2)
    asked: list[str] = []

    def handle(message: Message) -> None:
        asked.append(message.headers["ce_id"])
        raise StoreUnavailable("away")

    for _ in range(7):
        with pytest.raises(StoreUnavailable):
            drain(subscriber, handle)
    assert asked == ["first"] * 7
    assert broker.reasons() == []
    assert [(message.headers["ce_id"], message.attempts) for message in subscriber.take(limit=9)] == [
        ("first", 1),
        ("second", 1),
    ]


def test_a_settled_neighbour_of_an_outage_does_not_come_again(broker: Broker) -> None:
    subscriber, handled = broker.subscriber(), Handled()
    broker.publish(envelope("first"), envelope("poison"), envelope("third"))
    taken(subscriber, at_least=3)

    def handle(message: Message) -> None:
        if handled.count("first") == 1 and message.headers["ce_id"] == "third" and "third" not in handled:
            handled.append("third")
            raise StoreUnavailable("away")
        handled(message)

    with pytest.raises(StoreUnavailable):
        drain(subscriber, handle)
    drain(subscriber, handle)
    assert handled == ["first", "poison", "third", "third"]
    assert broker.reasons() == [Reason.BAD_SCHEMA]


def test_forged_failure_headers_neither_stop_a_message_nor_reach_the_letter(broker: Broker) -> None:
    subscriber = broker.subscriber()
    names = ("attempts", "partition", "offset", "timestamp", "due_at", "redrives", "first_failed_at")
    forged = tuple((f"{FAILURE_HEADERS}{name}", b"\xff no number") for name in names)
    broker.put(value(envelope("job")), (*GOOD, *forged))
    handle_until([subscriber], _refuse, until=lambda: broker.letters.depth() == 1)
    (letter,) = broker.letters.list(Selection(), limit=9)
    assert (letter.headers, letter.attempts, letter.redrives) == (GOOD, 1, 0)


def _refuse(_message: Message) -> None:
    raise PoisonError(Reason.UNKNOWN_TENANT, "never")


@pytest.mark.requirement("A36")
def test_a_redriven_letter_becomes_the_job_it_was_meant_to_be(broker: Broker) -> None:
    subscriber, handled = broker.subscriber(), Handled()
    broker.publish(envelope("poison"))
    handle_until([subscriber], handled, until=lambda: broker.letters.depth() == 1)
    (letter,) = broker.letters.list(Selection(), limit=9)
    Redriver(broker.letters, broker.outlet, topics=broker.topics).redrive(letter)
    mended: list[Message] = []
    handle_until([subscriber], mended.append, until=lambda: len(mended) > 0)
    assert received(mended[0].headers, mended[0].value).envelope == envelope("poison")
    assert (mended[0].attempts, broker.letters.depth()) == (1, 0)


@pytest.mark.requirement("A13")
def test_what_a_dead_consumer_had_taken_is_handled_by_the_next(broker: Broker) -> None:
    first, handled = broker.subscriber(), Handled()
    broker.publish(envelope("job"), envelope("other", "globex"))
    taken(first, at_least=2)
    first.close()  # without a word about what it took
    release(broker)
    handle_until([broker.subscriber()], handled, until=lambda: len(handled) == 2)
    assert sorted(handled) == ["job", "other"]


def release(broker: Broker) -> None:
    """The leases of the dead end."""
    with writing(broker.engine) as connection:
        connection.execute(update(messages).values(taken_until=None))


@pytest.mark.requirement("A9", "A13")
@pytest.mark.parametrize("many", [100, pytest.param(1000, marks=pytest.mark.services)])
def test_jobs_wait_for_a_stopped_dispatcher_and_each_becomes_one_row(broker: Broker, many: int) -> None:
    jobs, made = Jobs(broker.engine), Counter[bool]()
    broker.publish(*(envelope(f"job{number}", ("acme", "globex")[number % 2]) for number in range(many)))
    broker.publish(envelope("job7", "globex"))  # once more, as after a time-out that was none

    def handle(message: Message) -> None:
        made[jobs.insert_or_ignore(received(message.headers, message.value).envelope, traceparent=None)] += 1

    handle_until([broker.subscriber(), broker.subscriber()], handle, until=lambda: made.total() > many)
    assert made == {True: many, False: 1}
    assert count(broker.engine, job_rows) == many
    assert broker.reasons() == []
