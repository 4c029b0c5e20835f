"""Webhooks from the end of a job to the receiver: signed, once per event, in order, through failures."""

import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import openai
import pytest
from openai.types.webhooks import FineTuningJobCancelledWebhookEvent
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import Engine, event, insert, select, update
from standardwebhooks import Webhook, WebhookVerificationError

from app.delivery.posting import Answer, Post, Unanswered
from app.delivery.schedule import FAILURES, JITTER, SCHEDULE
from app.delivery.signing import SigningKeys
from app.directory import Directory, read
from app.jobs.state import Move
from app.metrics import Metrics
from app.store.attempts import Attempts
from app.store.deliveries import Deliveries, Delivery
from app.store.engine import StoreUnavailable, open_store, reading, writing
from app.store.jobs import Jobs
from app.store.outbox import LEASE, OF_RECEIVER, OF_TENANT, Outbox
from app.store.tables import deliveries, jobs
from app.store.webhook_keys import WebhookKeys
from app.telemetry import tracing
from app.tests.cast import tenant_entry, write_directory
from app.tests.local import count, envelope
from app.tests.receivers import Internet, Received, Receiver, certify, receiving, trust
from app.webhooks import Webhooks

SIGNING = SigningKeys(b"a master key of the tests, 32 bytes")
URL = "https://hooks.acme.example/jobs"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Clock:
    """Time that passes when a test says so."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=5))

    def __call__(self) -> float:
        return self.now.timestamp()

    def pass_(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A new store of each kind."""
    if request.param == "sqlite":
        made: Engine = request.getfixturevalue("engine")
        yield made
        return
    made = open_store(request.getfixturevalue("postgres"))
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certify(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def receiver(certificate: Path) -> Iterator[Receiver]:
    with receiving(Receiver(), certificate) as made:
        yield made


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return read(write_directory(tmp_path / "directory"))


@dataclass
class Sending:
    """A sender with its store, clock and metrics."""

    engine: Engine
    clock: Clock
    metrics: Metrics
    sender: Webhooks

    def run(self) -> None:
        """Rounds until nothing is due and nothing on its way."""
        outbox = Outbox(self.engine)
        for _ in range(100):
            if not outbox.due(at=self.clock.now, limit=1):
                break
            self.sender.round()
            assert self.sender.rest(20), "an attempt did not end"
        else:
            raise AssertionError("what is due was not taken")
        self.sender.round()

    def delivery(self) -> Delivery:
        [found] = Deliveries(self.engine).list("acme", after=None, limit=9)
        return found


Make = Callable[..., Sending]


@pytest.fixture
def make(store: Engine, directory: Directory, receiver: Receiver, certificate: Path) -> Iterator[Make]:
    """Senders over one store: by their own code to the receiver, or through another `post`."""
    made: list[Webhooks] = []

    def make(post: object = None, clock: Clock | None = None, **others: object) -> Sending:
        ticking, metrics = clock or Clock(), Metrics("webhooks")
        sender = Webhooks(
            outbox=Outbox(store),
            generations=WebhookKeys(store),
            signing=SIGNING,
            directory=directory,
            post=post or Post(Internet(receiver.port).network(), trust=trust(certificate)),  # type: ignore[arg-type]
            tracing=tracing("webhooks", None),
            metrics=metrics,
            clock=ticking,
        )
        made.append(sender)
        return Sending(store, ticking, metrics, sender)

    yield make
    for sender in made:
        sender.close()


def end(engine: Engine, job: str, *, url: str = URL, tenant: str = "acme") -> None:
    """A job that was cancelled by its caller."""
    jobs = Jobs(engine)
    jobs.insert_or_ignore(envelope(job, tenant).model_copy(update={"callback_url": url}), traceparent=TRACEPARENT)
    jobs.cancel(tenant, job)


def answering(status: int, **headers: str) -> Callable[[Received], tuple[int, Mapping[str, str]]]:
    return lambda _received: (status, headers)


def ids(engine: Engine) -> list[str]:
    """Of all deliveries, oldest first."""
    with reading(engine) as connection:
        return list(connection.execute(select(deliveries.c.id).order_by(deliveries.c.created_at)).scalars())


@dataclass
class Answering:
    """A network of receivers in this process: what each URL answers, and what it was sent when."""

    clock: Clock
    answers: Mapping[str, Sequence[int | str]] = field(
        default_factory=dict
    )  # in turn, the last for good; text: no answer
    sent: list[tuple[str, str, datetime]] = field(default_factory=list)  # (url, webhook-id, when)
    retry_after: str | None = None

    async def __call__(self, url: str, *, headers: Mapping[str, str], body: str) -> Answer:  # noqa: ARG002
        turns = self.answers.get(url, [200])
        answer = turns[min(len([one for one in self.sent if one[0] == url]), len(turns) - 1)]
        self.sent.append((url, headers["webhook-id"], self.clock.now))
        if isinstance(answer, str):
            raise Unanswered(answer)
        return Answer(answer, self.retry_after)


@pytest.mark.requirement("A16")
def test_receivers_verify_what_we_sign_by_the_standards_own_library_and_by_openais(
    make: Make, store: Engine, receiver: Receiver
) -> None:
    end(store, "job")
    make().run()
    [received] = receiver.received
    event = Webhook(SIGNING.shown("acme", 1)).verify(received.body, received.headers)
    assert event["data"]["jobId"] == "job"
    client = openai.OpenAI(api_key="none")
    unwrapped = client.webhooks.unwrap(received.body, received.headers, secret=SIGNING.shown("acme", 1))
    assert isinstance(unwrapped, FineTuningJobCancelledWebhookEvent)
    assert (unwrapped.type, unwrapped.object, unwrapped.data.id) == ("fine_tuning.job.cancelled", "event", "job")
    assert unwrapped.id == received.headers["webhook-id"] == ids(store)[0]
    assert received.headers["traceparent"].split("-")[1] == TRACEPARENT.split("-")[1]
    assert len(received.body) < 20_000


def test_another_secret_another_body_and_an_old_delivery_are_refused(
    make: Make, store: Engine, receiver: Receiver
) -> None:
    end(store, "job")
    make(clock=Clock(datetime.now(UTC) + timedelta(seconds=1))).run()
    end(store, "late")
    make(clock=Clock(datetime.now(UTC) + timedelta(minutes=6))).run()
    fresh, old = receiver.received
    client = openai.OpenAI(api_key="none")
    for secret, one, body in (
        (SIGNING.shown("globex", 1), fresh, fresh.body),
        (SIGNING.shown("acme", 2), fresh, fresh.body),
        (SIGNING.shown("acme", 1), fresh, fresh.body.replace("cancelled", "succeeded")),
        (SIGNING.shown("acme", 1), old, old.body),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, one.headers)
        with pytest.raises(openai.InvalidWebhookSignatureError):
            client.webhooks.unwrap(body, one.headers, secret=secret)


def test_for_a_day_after_a_rotation_both_secrets_verify(make: Make, store: Engine, receiver: Receiver) -> None:
    keys, sending = WebhookKeys(store), make()
    for _ in range(2):
        keys.rotate("acme", at=sending.clock.now)
    end(store, "during")
    sending.run()
    end(store, "after")
    late = make(clock=Clock(sending.clock.now + timedelta(hours=25)))
    late.run()
    during, after = (one.headers["webhook-signature"].split() for one in receiver.received)
    assert [len(during), len(after)] == [2, 1]
    for generation in (1, 2):
        Webhook(SIGNING.shown("acme", generation)).verify(receiver.received[0].body, receiver.received[0].headers)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, "delivered"),
        (204, "delivered"),
        (299, "delivered"),
        (301, "pending"),
        (307, "pending"),
        (400, "pending"),
        (404, "pending"),
        (410, "refused"),
        (429, "pending"),
        (500, "pending"),
    ],
)
def test_only_2xx_is_a_success_and_410_the_last_word(
    make: Make, store: Engine, receiver: Receiver, status: int, state: str
) -> None:
    receiver.answer = answering(status, Location="https://hooks.acme.example/elsewhere")
    end(store, "job")
    sending = make()
    sending.run()
    found = sending.delivery()
    assert (found.state, found.last_status, found.attempts) == (state, status, 1)
    assert [one.path for one in receiver.received] == ["/jobs"]


def test_a_dead_receiver_is_tried_by_the_schedule_and_then_given_up(make: Make, store: Engine) -> None:
    clock = Clock()
    network = Answering(clock, {URL: ["no route"]})
    end(store, "job")
    sending = make(network, clock)
    while sending.delivery().state == "pending":
        clock.now = max(clock.now, sending.delivery().next_at or clock.now)
        sending.run()
    times = [at for _url, _identifier, at in network.sent]
    waits = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert len(waits) == len(SCHEDULE) - 1
    assert all(
        abs(wait - due) <= JITTER * due + 1e-3 for wait, due in zip(waits, SCHEDULE[1:], strict=True) if due > 900
    )
    assert {identifier for _url, identifier, _at in network.sent} == set(ids(store))
    assert sending.delivery().state == "given_up"
    assert 'outcome="given_up"' in exposed(sending.metrics)


def exposed(metrics: Metrics) -> str:
    """What Prometheus would read."""
    registry = CollectorRegistry()
    registry.register(metrics)
    return generate_latest(registry).decode()


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("status", "header", "seconds"), [(429, "1200", 1200), (503, "7200", 7200), (500, "7200", 5)])
def test_a_busy_receiver_is_left_in_peace_as_long_as_it_asks(
    make: Make, store: Engine, status: int, header: str, seconds: int
) -> None:
    clock = Clock()
    end(store, "first")
    sending = make(Answering(clock, {URL: [status]}, retry_after=header), clock)
    sending.run()
    found = sending.delivery()
    assert found.next_at is not None
    assert seconds * 0.9 <= (found.next_at - clock.now).total_seconds() <= seconds * 1.1
    end(store, "second")
    sending.run()
    attempts = {delivery.job: delivery.attempts for delivery in Deliveries(store).list("acme", after=None, limit=9)}
    assert attempts["second"] == (0 if status != 500 else 1)


def test_the_breaker_spares_a_dead_receiver_and_one_delivery_tries_it_again(make: Make, store: Engine) -> None:
    clock = Clock()
    network = Answering(clock, {URL: [500] * (FAILURES + 1) + [200]})
    for number in range(FAILURES + 3):
        end(store, f"job{number}")
    sending = make(network, clock)
    sending.run()
    assert FAILURES <= len(network.sent) <= FAILURES + OF_RECEIVER
    before = len(network.sent)
    clock.pass_(seconds=10)
    sending.run()
    assert len(network.sent) == before  # all of it is put off, also what failed first and is due by the schedule
    clock.pass_(days=2)
    sending.sender.round()
    assert sending.sender.rest(20)
    assert len(network.sent) == before + 1
    for _ in range(9):
        clock.pass_(days=1)
        sending.run()
    assert {delivery.state for delivery in Deliveries(store).list("acme", after=None, limit=99)} == {"delivered"}


def test_a_receiver_that_is_gone_gets_nothing_until_a_replay(make: Make, store: Engine) -> None:
    clock = Clock()
    network = Answering(clock, {URL: [410, 200]})
    end(store, "first")
    sending = make(network, clock)
    sending.run()
    end(store, "second")
    sending.run()
    assert [delivery.state for delivery in Deliveries(store).list("acme", after=None, limit=9)] == ["refused"] * 2
    assert len(network.sent) == 1
    Deliveries(store).replay("acme", ids(store)[1], at=clock.now)
    sending.run()
    assert network.sent[-1][1] == ids(store)[1]
    assert Deliveries(store).list("acme", after=None, limit=9)[0].state == "delivered"


def test_a_slow_receiver_holds_up_nobody_else(make: Make, store: Engine) -> None:
    slow, arrived, go_on = "https://hooks.acme.example/slow", set[str](), threading.Event()

    async def post(url: str, *, headers: Mapping[str, str], body: str) -> Answer:
        arrived.add(headers["webhook-id"])
        if url == slow:
            await anyio.to_thread.run_sync(go_on.wait, 20)
        return Answer(200, None)

    for number in range(20):
        end(store, f"slow{number}", url=slow)
    for tenant in ("acme", "globex"):
        end(store, f"quick-{tenant}", url=f"https://hooks.{tenant}.example/quick", tenant=tenant)
    sending = make(post)
    try:
        until(lambda: delivered(store) == {"quick-acme", "quick-globex"}, sending.sender.round)
        until(lambda: len(arrived) == OF_RECEIVER + 2, sending.sender.round)
        for _ in range(5):
            sending.sender.round()
        assert len(arrived) == OF_RECEIVER + 2
    finally:
        go_on.set()
    sending.run()
    assert len(delivered(store)) == 22


def delivered(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        query = select(deliveries.c.job).where(deliveries.c.state == "delivered")
        return set(connection.execute(query).scalars())


def until(condition: Callable[[], bool], step: Callable[[], None] = lambda: None) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        step()
        time.sleep(0.01)


def test_a_tenant_has_few_deliveries_on_their_way_and_others_their_turn(store: Engine) -> None:
    for number in range(30):
        end(store, f"flood{number}", url=f"https://hooks.acme.example/{number}")
    end(store, "quiet", url="https://hooks.globex.example/", tenant="globex")
    outbox, at = Outbox(store), datetime.now(UTC) + timedelta(seconds=1)
    taken = [one.delivery.tenant for _ in range(3) for one in outbox.take(at=at, limit=OF_TENANT)]
    assert taken.count("acme") == OF_TENANT
    assert taken.count("globex") == 1


def test_the_work_of_taking_grows_with_the_backlog_and_not_with_its_square(engine: Engine) -> None:
    steps = [work_of_a_round(engine, backlog) for backlog in (200, 800)]
    assert steps[1] < 6 * steps[0]


def work_of_a_round(engine: Engine, backlog: int) -> int:
    """Instructions of SQLite's machine, in hundreds, to look and take with so many due deliveries."""
    counted, at = [0], datetime.now(UTC) + timedelta(seconds=1)
    first, ended, rows = count(engine, deliveries), [], []
    end(engine, f"seed{backlog}")
    with writing(engine) as connection:
        job = dict(connection.execute(select(jobs).where(jobs.c.id == f"seed{backlog}")).mappings().one())
        row = dict(connection.execute(select(deliveries).where(deliveries.c.job == job["id"])).mappings().one())
        for number in range(backlog - first - 1):
            ended.append({**job, "id": f"{backlog}-{number}"})
            rows.append({**row, "id": f"{backlog}-{number}", "job": f"{backlog}-{number}"})
        connection.execute(insert(jobs), ended)
        connection.execute(insert(deliveries), rows)
    assert count(engine, deliveries) == backlog

    def step() -> int:
        counted[0] += 1
        return 0

    def watch(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.set_progress_handler(step, 100)

    event.listen(engine, "checkout", watch)
    try:
        assert Outbox(engine).take(at=at, limit=9)
    finally:
        event.remove(engine, "checkout", watch)
    with writing(engine) as connection:
        connection.execute(update(deliveries).values(taken_until=None))
    return counted[0]


def test_two_senders_send_each_event_once(make: Make, store: Engine) -> None:
    clock = Clock()
    network = Answering(clock)
    for number in range(24):
        end(store, f"job{number}", url=f"https://hooks.acme.example/{number % 6}")
    senders = [make(network, clock) for _ in range(2)]

    def work(sending: Sending) -> None:
        until(lambda: len(delivered(store)) == 24, sending.sender.round)

    threads = [threading.Thread(target=work, args=(sending,)) for sending in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(identifier for _url, identifier, _at in network.sent) == sorted(ids(store))


def test_a_job_tells_its_ends_in_order(make: Make, store: Engine, receiver: Receiver) -> None:
    jobs, attempts = Jobs(store), Attempts(store)
    jobs.insert_or_ignore(envelope("job").model_copy(update={"callback_url": URL}), traceparent=None)
    for move in (Move.FAIL, Move.SUCCEED):
        assert attempts.begin("job", cap=9)
        [attempt] = attempts.unconfirmed()
        attempts.finish(attempt, move, error="bad rows" if move is Move.FAIL else None)
        jobs.retry("job")
    statuses = iter([500, 200, 200])
    receiver.answer = lambda _received: (next(statuses), {})
    sending = make()
    sending.run()
    assert len(receiver.received) == 1  # the second end waits for the first
    sending.clock.pass_(minutes=1)
    sending.run()
    told = [Webhook(SIGNING.shown("acme", 1)).verify(one.body, one.headers)["type"] for one in receiver.received]
    assert told == ["fine_tuning.job.failed", "fine_tuning.job.failed", "fine_tuning.job.succeeded"]


def test_a_job_without_a_callback_tells_nobody(store: Engine) -> None:
    jobs = Jobs(store)
    jobs.insert_or_ignore(envelope("job"), traceparent=None)
    jobs.cancel("acme", "job")
    assert ids(store) == []


def test_a_host_that_left_the_tenant_file_is_sent_nothing_more(
    make: Make, store: Engine, receiver: Receiver, tmp_path: Path
) -> None:
    end(store, "job")
    end(store, "gone", url="https://hooks.globex.example/", tenant="globex")
    left = tenant_entry("acme").model_copy(update={"callbacks": ("hooks.globex.example",)})
    gone = tmp_path / "left"
    clock, metrics = Clock(), Metrics("webhooks")
    sender = Webhooks(
        outbox=Outbox(store),
        generations=WebhookKeys(store),
        signing=SIGNING,
        directory=read(write_directory(gone, left)),
        post=Post(Internet(receiver.port).network(), trust=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)),
        tracing=tracing("webhooks", None),
        metrics=metrics,
        clock=clock,
    )
    with closing(sender):
        Sending(store, clock, metrics, sender).run()
    states = {
        delivery.state
        for tenant in ("acme", "globex")
        for delivery in Deliveries(store).list(tenant, after=None, limit=9)
    }
    assert (states, receiver.received) == ({"refused"}, [])


@pytest.mark.requirement("A16")
def test_a_sender_that_died_before_it_could_note_the_success_loses_nothing(
    make: Make, store: Engine, receiver: Receiver, certificate: Path, tmp_path: Path
) -> None:
    end(store, "job")
    receiver.hold = threading.Event()
    directory = (tmp_path / "directory").as_uri()
    script = [
        sys.executable,
        "-m",
        "app.tests.sender_to_kill",
        store.url.render_as_string(hide_password=False),
        directory,
        str(receiver.port),
    ]
    with subprocess.Popen([*script, str(certificate)]) as killed:
        until(lambda: len(receiver.received) == 1)
        killed.kill()
    receiver.hold.set()
    sending = make()
    lease = sending.delivery().taken_until
    assert lease is not None
    sending.clock.now = lease - LEASE / 2
    sending.run()
    assert len(receiver.received) == 1  # the lease of the dead one still holds
    sending.clock.now = lease
    sending.run()
    assert [one.headers["webhook-id"] for one in receiver.received] == ids(store) * 2
    assert receiver.received[0].body == receiver.received[1].body
    assert (sending.delivery().state, sending.delivery().attempts) == ("delivered", 2)


def test_a_success_that_the_store_could_not_keep_is_sent_again(
    make: Make, store: Engine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(store, "job")
    sending = make()
    with monkeypatch.context() as outage:
        outage.setattr(Outbox, "deliver", lambda *_, **__: unreachable())
        sending.run()
    assert sending.delivery().state == "pending"
    sending.clock.now += LEASE
    sending.run()
    assert [one.headers["webhook-id"] for one in receiver.received] == ids(store) * 2
    assert sending.delivery().state == "delivered"


def unreachable() -> None:
    raise StoreUnavailable("the disk is full; free space on it")
