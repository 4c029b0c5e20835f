"""The store, on each database: rows once, tenants apart, changes guarded."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from app.contract.job import JobState
from app.jobs.state import Move
from app.store.attempts import Attempts
from app.store.changes import change
from app.store.engine import reading, writing
from app.store.jobs import Jobs
from app.store.tables import deliveries, jobs
from app.tests.local import START, envelope


@pytest.mark.requirement("A6")
def test_the_api_and_the_consumer_make_one_row_of_a_job(any_engine: Engine) -> None:
    store = Jobs(any_engine)
    assert store.insert_or_ignore(envelope("job"), traceparent="00-a")
    assert not store.insert_or_ignore(envelope("job"), traceparent="00-b")
    assert [event.message for event in store.events("acme", "job", after=None, limit=9)] == ["queued"]
    found = store.get("acme", "job")
    assert found is not None
    assert (found.traceparent, found.envelope) == ("00-a", envelope("job"))


def test_another_tenants_job_is_not_there(any_engine: Engine) -> None:
    store = Jobs(any_engine)
    store.insert_or_ignore(envelope("job"), traceparent=None)
    assert store.get("globex", "job") is None
    assert store.cancel("globex", "job") is None
    assert store.events("globex", "job", after=None, limit=9) == []
    assert store.list("globex", after=None, limit=9) == []
    assert store.list("globex", after="job", limit=9) == []
    assert set(store.counts("globex").values()) == {0}


@pytest.mark.requirement("A11")
def test_a_listing_pages_from_the_newest_to_the_oldest(any_engine: Engine) -> None:
    store = Jobs(any_engine)
    for number in range(5):
        store.insert_or_ignore(envelope(f"job{number}", minute=number // 2), traceparent=None)
    first = store.list("acme", after=None, limit=2)
    then = store.list("acme", after=first[-1].id, limit=9)
    assert [job.id for job in (*first, *then)] == ["job4", "job3", "job2", "job1", "job0"]


@pytest.mark.parametrize("key", ["team", 'a"b', "$.x", "%"])
def test_a_listing_filters_by_any_metadata_key(any_engine: Engine, key: str) -> None:
    store = Jobs(any_engine)
    store.insert_or_ignore(envelope("marked", metadata={key: "1"}), traceparent=None)
    store.insert_or_ignore(envelope("plain"), traceparent=None)
    assert [job.id for job in store.list("acme", after=None, limit=9, metadata={key: "1"})] == ["marked"]
    assert store.list("acme", after=None, limit=9, metadata={key: "2"}) == []


def test_a_change_decided_on_an_old_row_is_not_made(any_engine: Engine) -> None:
    store = Jobs(any_engine)
    store.insert_or_ignore(envelope("job"), traceparent=None)
    with reading(any_engine) as connection:
        old = connection.execute(select(jobs)).one()
    store.cancel("acme", "job")
    with writing(any_engine) as connection:
        assert not change(connection, old, guard=jobs.c.state == JobState.QUEUED, values={"error": "late"})


def test_a_cancelled_job_gets_no_attempt(any_engine: Engine) -> None:
    store, attempts = Jobs(any_engine), Attempts(any_engine)
    store.insert_or_ignore(envelope("job"), traceparent=None)
    cancelled = store.cancel("acme", "job")
    assert cancelled is not None
    assert (cancelled.state, cancelled.finished_at is not None) == (JobState.CANCELLED, True)
    assert attempts.waiting(each=9) == []
    assert not attempts.begin("job", cap=9)


def test_times_keep_their_zone(any_engine: Engine) -> None:
    store = Jobs(any_engine)
    store.insert_or_ignore(envelope("job"), traceparent=None)
    found = store.get("acme", "job")
    assert found is not None
    assert found.created_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_job_beyond_the_queue_is_kept_as_one_that_failed(any_engine: Engine) -> None:
    store = Jobs(any_engine)
    for number in range(3):
        assert store.insert_or_ignore(envelope(f"job{number}"), traceparent=None, most_queued=2)
    refused = store.get("acme", "job2")
    assert refused is not None
    assert (refused.state, refused.error_code, refused.finished_at is not None) == ("failed", "quota_exceeded", True)
    assert "2 jobs are queued already; wait for one, or raise limits.queuedJobs" in str(refused.error)
    assert store.insert_or_ignore(envelope("other", "globex"), traceparent=None, most_queued=2)
    assert store.counts("acme")[JobState.QUEUED] == 2
    assert store.counts("globex")[JobState.QUEUED] == 1


def test_the_queue_holds_what_it_may_however_many_come_at_once(any_engine: Engine) -> None:
    store = Jobs(any_engine)

    def insert(number: int) -> None:
        store.insert_or_ignore(envelope(f"job{number}"), traceparent=None, most_queued=5)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(insert, range(20)))
    counts = store.counts("acme")
    assert (counts[JobState.QUEUED], counts[JobState.FAILED]) == (5, 15)


def test_the_same_request_is_found_again_within_its_time(any_engine: Engine) -> None:
    store = Jobs(any_engine)
    for minute in (0, 10):
        store.insert_or_ignore(envelope(f"job{minute}", minute=minute), traceparent=None)
    found = store.same_request("acme", "hash", since=START + timedelta(minutes=5))
    assert found is not None
    assert found.id == "job10"
    assert store.same_request("acme", "hash", since=START + timedelta(minutes=11)) is None
    assert store.same_request("acme", "other", since=START) is None
    assert store.same_request("globex", "hash", since=START) is None


def test_a_waiting_job_knows_its_place_among_its_tenants(any_engine: Engine) -> None:
    store, attempts = Jobs(any_engine), Attempts(any_engine)
    for number, tenant in enumerate(["globex", "acme", "acme", "acme"]):
        store.insert_or_ignore(envelope(f"job{number}", tenant, minute=number), traceparent=None)
    assert [store.position("acme", f"job{number}") for number in range(4)] == [None, 1, 2, 3]
    attempts.begin("job1", cap=1)
    store.cancel("acme", "job2")
    assert [store.position("acme", f"job{number}") for number in range(4)] == [None, None, None, 1]
    assert (store.running("acme"), store.running("globex")) == (1, 0)


def test_jobs_that_succeeded_tell_how_long_one_takes(any_engine: Engine) -> None:
    store, attempts = Jobs(any_engine), Attempts(any_engine)
    store.insert_or_ignore(envelope("job"), traceparent=None)
    assert store.typical_seconds("acme") is None
    attempts.begin("job", cap=1)
    (attempt,) = attempts.unconfirmed()
    attempts.note_step(attempt, "train")
    attempts.finish(attempt, Move.SUCCEED)
    typical = store.typical_seconds("acme")
    assert typical is not None
    assert 0 <= typical < 60


def test_an_end_and_its_webhook_are_one_transaction(any_engine: Engine) -> None:
    store, attempts = Jobs(any_engine), Attempts(any_engine)
    for number in range(4):
        told = envelope(f"job{number}").model_copy(update={"callback_url": "https://hooks.acme.example/x"})
        store.insert_or_ignore(told, traceparent=None, most_queued=3)
    store.cancel("acme", "job0")
    store.cancel("acme", "job0")
    for move in (Move.SUCCEED, Move.FAIL):
        job = {Move.SUCCEED: "job1", Move.FAIL: "job2"}[move]
        attempts.begin(job, cap=9)
        (attempt,) = [one for one in attempts.unconfirmed() if one.job.id == job]
        attempts.finish(attempt, move, error=None if move is Move.SUCCEED else "bad row")
    with reading(any_engine) as connection:
        rows = connection.execute(select(deliveries.c.job, deliveries.c.type)).all()
    ended = {"job0": "cancelled", "job1": "succeeded", "job2": "failed", "job3": "failed"}
    assert sorted(tuple(row) for row in rows) == [(job, f"fine_tuning.job.{kind}") for job, kind in ended.items()]
