"""`tenon up` over a real Apache Kafka and a real PostgreSQL: the same job, to the same end (tier services)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.store.engine import open_store, reading
from app.store.tables import jobs, messages
from app.tests.conftest import kafka, postgres_server  # noqa: F401 - fixtures
from app.tests.kafka import KafkaServer
from app.tests.postgres import PostgresServer
from tenon.__main__ import main
from tenon.tests.test_job_path import ROOT, SHORT, JobPath

pytestmark = pytest.mark.services


@pytest.fixture
def store(postgres_server: PostgresServer) -> str:  # noqa: F811 - the fixture
    """An empty database, which `tenon up` has to migrate."""
    return postgres_server.make_database()


@pytest.fixture
def path(tmp_path: Path, store: str, kafka: KafkaServer) -> Iterator[JobPath]:  # noqa: F811 - the fixture
    made = JobPath(tmp_path, "--store-url", store.replace("+psycopg", ""), "--broker-url", kafka.url())
    made.start()
    yield made
    made.stop()


@pytest.mark.requirement("A13", "A15")
def test_a_job_runs_to_its_end_over_kafka_and_postgresql(
    path: JobPath, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = path.upload(ROOT / "demo" / "data" / "train.jsonl")
    job = path.call("/api/finetune", {"modelId": "replies", "datasetUrl": rows, "hyperparameters": SHORT})["jobId"]
    done: dict[str, Any] = path.ended(job)
    assert done["status"] == "succeeded", done["error"]
    engine = open_store(store)
    with reading(engine) as connection:
        assert connection.execute(select(jobs.c.state)).scalars().all() == ["succeeded"]
        assert connection.execute(select(messages.c.id)).all() == []  # they went through Kafka
    engine.dispose()
    assert main(["jobs", "show", job, "--store-url", store, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "succeeded"
