"""docs/guides/job-path.md: every command that needs no cluster is run, in order, over a store with something in it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from app.broker.queue import Failure
from app.broker.sql import SqlPublisher, SqlSubscriber
from app.contract import metrics
from app.jobs.state import Move
from app.store.attempts import Attempts
from app.store.engine import open_store
from app.store.jobs import Jobs
from app.tests.cast import write_directory
from app.tests.local import envelope
from generators.cluster.monitoring import alerts
from tenon.tests.test_guides import GUIDES, commands

GUIDE = "job-path.md"
CLUSTER = ("kubectl ", "bin/kafka-")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As `tenon up` leaves it: a failed job, and a message of a tenant that is not there."""
    home = tmp_path / ".cache" / "up"
    home.mkdir(parents=True)
    write_directory(home / "directory")
    engine = open_store(f"sqlite:///{home}/store.db")
    jobs, attempts, subscriber = Jobs(engine), Attempts(engine), SqlSubscriber(engine)
    jobs.insert_or_ignore(envelope("job"), traceparent=None)
    attempts.begin("job", cap=1)
    attempts.finish(attempts.unconfirmed()[0], Move.FAIL, error="rows.jsonl:3: no JSON")
    for number in range(2):
        lost = envelope(f"lost{number}", "initech")
        anyio.run(lambda lost=lost: SqlPublisher(engine).publish(lost, traceparent=None))  # type: ignore[misc]
    for message in subscriber.take(limit=9):
        subscriber.reject(message, Failure("unknown_tenant", "not in the tenant directory", "PoisonError"))
    subscriber.close()
    engine.dispose()
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    return tmp_path


@pytest.mark.requirement("A36")
@pytest.mark.services  # for its many processes alone
def test_every_command_of_the_guide_is_answered(folder: Path) -> None:
    known = {**os.environ, "JOB": "job", "LETTER": "1", "PYTHONPATH": str(GUIDES.parent.parent)}
    for name in ("TENON_STORE_URL", "TENON_BROKER_URL"):
        known.pop(name, None)
    here = [command for command in commands(GUIDE) if not command.startswith(CLUSTER)]
    assert len(here) > 15
    for command in here:
        done = subprocess.run(command, shell=True, cwd=folder, env=known, capture_output=True, text=True, check=False)  # noqa: S602 - the guide's own text
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def test_the_guide_names_the_metrics_and_alerts_that_there_are() -> None:
    text = (GUIDES / GUIDE).read_text(encoding="utf-8")
    served = {value for value in vars(metrics).values() if isinstance(value, str) and value.startswith("tenon_")}
    assert set(re.findall(r"tenon_[a-z_]+", text)) <= served
    assert set(re.findall(r"`(Tenon[A-Za-z]+)`", text)) == {rule["alert"] for rule in alerts()}
