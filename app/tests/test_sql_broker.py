"""The queue in the store: what only a queue of rows can do wrong."""

import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from sqlalchemy import Engine

from app.broker.consuming import drain
from app.broker.dead_letters import DeadLetters
from app.broker.queue import BrokerUnavailable, Failure
from app.broker.sql import SqlPublisher, SqlSubscriber
from app.store.engine import open_store
from app.tests.brokers import taken
from app.tests.local import envelope, publish


def test_a_message_is_taken_by_one_consumer_until_its_lease_ends(engine: Engine) -> None:
    publish(engine, envelope("job"))
    first, second = SqlSubscriber(engine, lease_seconds=0.2), SqlSubscriber(engine)
    (message,) = first.take(limit=9)
    assert second.take(limit=9) == []
    assert [again.id for again in taken(second)] == [message.id]


def test_of_two_that_reject_a_message_one_makes_the_dead_letter(engine: Engine) -> None:
    publish(engine, envelope("job"))
    first, second = (SqlSubscriber(engine, lease_seconds=0) for _ in range(2))
    for subscriber, (message,) in [(each, each.take(limit=9)) for each in (first, second)]:
        subscriber.reject(message, Failure("bad_schema", "never", "PoisonError"))
    assert DeadLetters(engine).depth() == 1


def test_a_dead_store_is_told_to_the_publisher(engine: Engine, tmp_path: Path) -> None:
    engine.dispose()
    (tmp_path / "store.db").write_text("no database")
    for leftover in tmp_path.glob("store.db-*"):
        leftover.unlink()
    with pytest.raises(BrokerUnavailable, match="store"):
        anyio.run(lambda: SqlPublisher(engine).publish(envelope("job"), traceparent=None))
    with pytest.raises(BrokerUnavailable, match="store"):
        drain(SqlSubscriber(engine), lambda _message: None)


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
