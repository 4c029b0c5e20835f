"""The store: rows once, tenants apart, changes guarded, outages with a remedy."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text

from app.contract.job import JobState
from app.store import engine as engines
from app.store.attempts import Attempts
from app.store.changes import change
from app.store.engine import StoreUnavailable, open_store, reading, writing
from app.store.jobs import Jobs
from app.store.tables import jobs
from app.tests.local import envelope


@pytest.mark.requirement("A6")
def test_the_api_and_the_consumer_make_one_row_of_a_job(engine: Engine) -> None:
    store = Jobs(engine)
    assert store.insert_or_ignore(envelope("job"), traceparent="00-a")
    assert not store.insert_or_ignore(envelope("job"), traceparent="00-b")
    assert [event.message for event in store.events("acme", "job", after=None, limit=9)] == ["queued"]
    found = store.get("acme", "job")
    assert found is not None
    assert (found.traceparent, found.envelope) == ("00-a", envelope("job"))


def test_another_tenants_job_is_not_there(engine: Engine) -> None:
    store = Jobs(engine)
    store.insert_or_ignore(envelope("job"), traceparent=None)
    assert store.get("globex", "job") is None
    assert store.cancel("globex", "job") is None
    assert store.events("globex", "job", after=None, limit=9) == []
    assert store.list("globex", after=None, limit=9) == []
    assert store.list("globex", after="job", limit=9) == []
    assert set(store.counts("globex").values()) == {0}


@pytest.mark.requirement("A11")
def test_a_listing_pages_from_the_newest_to_the_oldest(engine: Engine) -> None:
    store = Jobs(engine)
    for number in range(5):
        store.insert_or_ignore(envelope(f"job{number}", minute=number // 2), traceparent=None)
    first = store.list("acme", after=None, limit=2)
    then = store.list("acme", after=first[-1].id, limit=9)
    assert [job.id for job in (*first, *then)] == ["job4", "job3", "job2", "job1", "job0"]


@pytest.mark.parametrize("key", ["team", 'a"b', "$.x", "%"])
def test_a_listing_filters_by_any_metadata_key(engine: Engine, key: str) -> None:
    store = Jobs(engine)
    store.insert_or_ignore(envelope("marked", metadata={key: "1"}), traceparent=None)
    store.insert_or_ignore(envelope("plain"), traceparent=None)
    assert [job.id for job in store.list("acme", after=None, limit=9, metadata={key: "1"})] == ["marked"]
    assert store.list("acme", after=None, limit=9, metadata={key: "2"}) == []


def test_a_change_decided_on_an_old_row_is_not_made(engine: Engine) -> None:
    store = Jobs(engine)
    store.insert_or_ignore(envelope("job"), traceparent=None)
    with reading(engine) as connection:
        old = connection.execute(select(jobs)).one()
    store.cancel("acme", "job")
    with writing(engine) as connection:
        assert not change(connection, old, guard=jobs.c.state == JobState.QUEUED, values={"error": "late"})


def test_a_cancelled_job_gets_no_attempt(engine: Engine) -> None:
    store, attempts = Jobs(engine), Attempts(engine)
    store.insert_or_ignore(envelope("job"), traceparent=None)
    cancelled = store.cancel("acme", "job")
    assert cancelled is not None
    assert (cancelled.state, cancelled.finished_at is not None) == (JobState.CANCELLED, True)
    assert attempts.waiting(each=9) == []
    assert not attempts.begin("job", cap=9)


def test_times_keep_their_zone(engine: Engine) -> None:
    store = Jobs(engine)
    store.insert_or_ignore(envelope("job"), traceparent=None)
    found = store.get("acme", "job")
    assert found is not None
    assert found.created_at == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nothing", "no URL"),
        ("postgresql://host/db", "not served"),
        ("sqlite://", "not served"),
        ("sqlite:///{folder}/missing/store.db", "No such file"),
        ("sqlite:///{folder}/text.db", "not a database"),
    ],
)
def test_a_store_that_cannot_be_opened_names_the_remedy(tmp_path: Path, url: str, told: str) -> None:
    (tmp_path / "text.db").write_text("no database at all, only text\n" * 100)
    with pytest.raises(StoreUnavailable, match=told):
        open_store(url.format(folder=tmp_path))


def test_a_full_disk_loses_nothing_that_was_acknowledged(engine: Engine) -> None:
    store = Jobs(engine)
    store.insert_or_ignore(envelope("kept"), traceparent=None)
    with engine.connect() as connection:  # SQLite's own way to be full
        connection.execute(text("PRAGMA max_page_count = 1"))
    large = envelope("large", metadata={"text": "x" * 100_000})
    with pytest.raises(StoreUnavailable, match="free space"):
        store.insert_or_ignore(large, traceparent=None)
    assert store.get("acme", "kept") is not None


def test_a_locked_store_is_an_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.05)
    engine = open_store(f"sqlite:///{tmp_path}/store.db")
    holder = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        Jobs(engine).insert_or_ignore(envelope("job"), traceparent=None)
    holder.close()
    assert Jobs(engine).insert_or_ignore(envelope("job"), traceparent=None)
    engine.dispose()
