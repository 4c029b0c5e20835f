"""The broker: what is acknowledged stays, what cannot be mended is set aside, nothing holds up its neighbours."""

import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from sqlalchemy import Engine, select

from app.broker.consuming import MOST_ATTEMPTS, drain
from app.broker.envelope import PoisonError, headers, received, value
from app.broker.queue import BrokerUnavailable, Message
from app.broker.sql import SqlPublisher, SqlSubscriber
from app.store.engine import StoreUnavailable, open_store, reading
from app.store.tables import dead_letters
from app.tests.local import dead, envelope, publish

GOOD = headers(envelope("job"), traceparent="00-trace")


def test_a_message_says_what_was_published() -> None:
    found = received(GOOD, value(envelope("job")))
    assert (found.envelope, found.traceparent) == (envelope("job"), "00-trace")


@pytest.mark.parametrize(
    ("changed", "body", "told"),
    [
        ({}, b"\xff\x00", "value: not a job envelope"),
        ({}, b"{}", "id"),
        ({}, value(envelope("job")).replace(b'"version":1', b'"version":2'), "version"),
        ({}, value(envelope("job")).replace(b'"tenant":"acme"', b'"tenant":"../x"', 1), "tenant"),
        ({}, value(envelope("job")).replace(b'"job":"job"', b'"job":"other"'), "another job"),
        ({"ce_specversion": "0.3"}, value(envelope("job")), "ce_specversion"),
        ({"ce_type": "x"}, value(envelope("job")), "ce_type"),
        ({"ce_id": "x"}, value(envelope("job")), "ce_id"),
        ({"ce_partitionkey": "globex"}, value(envelope("job")), "ce_partitionkey"),
        ({"content-type": "text/plain"}, value(envelope("job")), "content-type"),
    ],
)
def test_a_message_that_is_not_ours_is_poison(changed: dict[str, str], body: bytes, told: str) -> None:
    with pytest.raises(PoisonError, match=told):
        received({**GOOD, **changed}, body)


def test_a_message_comes_again_until_it_is_acknowledged(engine: Engine) -> None:
    publish(engine, envelope("job"))
    subscriber = SqlSubscriber(engine)
    assert [message.attempts for message in subscriber.take(limit=9)] == [1]
    again = subscriber.take(limit=9)
    assert [message.attempts for message in again] == [2]
    subscriber.acknowledge(again[0])
    assert subscriber.take(limit=9) == []


@pytest.mark.requirement("A15")
def test_a_failing_message_is_tried_a_few_times_and_holds_up_none(engine: Engine) -> None:
    publish(engine, envelope("bad"), envelope("good"))
    handled: list[str] = []

    def handle(message: Message) -> None:
        handled.append(message.headers["ce_id"])
        if message.headers["ce_id"] == "bad":
            raise RuntimeError("broken")

    for _ in range(MOST_ATTEMPTS + 2):
        drain(SqlSubscriber(engine), handle)  # each time another one, as after a restart
    assert (handled.count("bad"), handled.count("good")) == (MOST_ATTEMPTS, 1)
    assert dead(engine) == ["RuntimeError: broken"]


@pytest.mark.requirement("A14")
def test_a_dead_letter_keeps_the_message_untouched(engine: Engine) -> None:
    publish(engine, envelope("job"), traceparent="00-trace")

    def handle(_message: Message) -> None:
        raise PoisonError("never")

    assert drain(SqlSubscriber(engine), handle) == 1
    with reading(engine) as connection:
        row = connection.execute(select(dead_letters)).one()
    assert (row.headers, row.value) == (GOOD, value(envelope("job")))
    assert (row.position, row.attempts, row.error, row.traceparent) == ("1", 1, "never", "00-trace")


def test_an_outage_is_no_fault_of_the_message(engine: Engine) -> None:
    publish(engine, envelope("job"))

    def handle(_message: Message) -> None:
        raise StoreUnavailable("away")

    for _ in range(MOST_ATTEMPTS + 1):
        with pytest.raises(StoreUnavailable):
            drain(SqlSubscriber(engine), handle)
    assert dead(engine) == []
    assert len(SqlSubscriber(engine).take(limit=9)) == 1


def test_a_dead_store_is_told_to_the_publisher(engine: Engine, tmp_path: Path) -> None:
    engine.dispose()
    (tmp_path / "store.db").write_text("no database")
    for leftover in tmp_path.glob("store.db-*"):
        leftover.unlink()
    with pytest.raises(BrokerUnavailable, match="store"):
        anyio.run(lambda: SqlPublisher(engine).publish(envelope("job"), traceparent=None))


@pytest.mark.requirement("A13")
def test_an_acknowledged_message_survives_the_kill_of_its_publisher(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    program = (
        "import os, signal; from app.store.engine import open_store; from app.tests.local import envelope, publish;"
        f"publish(open_store({url!r}), envelope('job')); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == -9
    engine = open_store(url)
    assert [message.headers["ce_id"] for message in SqlSubscriber(engine).take(limit=9)] == ["job"]
    engine.dispose()
