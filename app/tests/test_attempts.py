"""Attempts over the real store: one that lives per job, numbers without a gap, pauses, slots, the whole history."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, Row, select

from app.contract.job import JobState
from app.jobs.scheduling import Turn
from app.jobs.state import Move, after
from app.store.attempts import Attempt, Attempts, Waiting
from app.store.engine import open_store, reading
from app.store.jobs import Job, Jobs
from app.store.tables import attempts as attempt_rows
from app.tests.local import envelope

ASKED = {"cancel": Move.CANCEL, "pause": Move.PAUSE, "resume": Move.RESUME}
CAP, SLOTS = 2, 2


@pytest.fixture
def store(any_engine: Engine) -> Jobs:
    made = Jobs(any_engine)
    made.insert_or_ignore(envelope("job"), traceparent=None)
    return made


@pytest.fixture
def attempts(any_engine: Engine) -> Attempts:
    return Attempts(any_engine)


def begun(attempts: Attempts, job: str = "job") -> Attempt:
    assert attempts.begin(job, cap=9)
    (attempt,) = [one for one in attempts.unconfirmed() if one.job.id == job]
    return attempt


def told(store: Jobs) -> list[str]:
    return [event.message for event in store.events("acme", "job", after=None, limit=99)]


def state(job: Job | None) -> JobState | None:
    return job.state if job else None


def test_a_job_without_an_attempt_pauses_at_once_and_goes_on(store: Jobs, attempts: Attempts) -> None:
    assert state(store.pause("acme", "job")) is JobState.PAUSED
    assert attempts.waiting(each=9) == []
    assert not attempts.begin("job", cap=9)
    assert state(store.resume("acme", "job")) is JobState.QUEUED
    assert attempts.waiting(each=9) == [Waiting("job", "acme")]
    assert told(store) == ["queued", "paused", "resumed"]


def test_a_running_job_pauses_when_its_workflow_has_ended_and_goes_on_as_the_next_attempt(
    store: Jobs, attempts: Attempts
) -> None:
    first = begun(attempts)
    attempts.confirm([first])
    attempts.note_step(first, "train")
    assert state(store.pause("acme", "job")) is JobState.PAUSING
    assert state(store.resume("acme", "job")) is JobState.PAUSING  # not before it rests
    assert attempts.finish(first, Move.REST)
    paused = store.find("job")
    assert paused is not None
    assert (paused.state, paused.finished_at, paused.error) == (JobState.PAUSED, None, None)
    store.resume("acme", "job")
    second = begun(attempts)
    assert (second.number, second.workflow) == (2, "ft-job-a2")
    attempts.note_step(second, "train")
    again = store.find("job")
    assert again is not None
    assert again.started_at == paused.started_at
    assert not attempts.finish(first, Move.FAIL, error="too late")
    assert not attempts.progress("job", 1, numbers={}, data={})
    assert attempts.progress("job", 2, numbers={"loss": 1.0}, data={})
    assert attempts.finish(second, Move.SUCCEED)
    assert told(store)[-3:] == ["step train of attempt 2", "progress", "attempt 2 succeeded"]


def test_a_failed_job_is_tried_again_by_an_operator_alone(store: Jobs, attempts: Attempts) -> None:
    attempts.finish(begun(attempts), Move.FAIL, error="out of memory", code="oom_killed")
    failed = store.find("job")
    assert failed is not None
    assert (failed.error, failed.error_code) == ("out of memory", "oom_killed")
    assert state(store.resume("acme", "job")) is JobState.FAILED
    again = store.retry("job")
    assert again is not None
    assert (again.state, again.error, again.error_code, again.finished_at) == (JobState.QUEUED, None, None, None)
    assert begun(attempts).number == 2
    assert store.retry("nobody") is None


def test_jobs_of_a_hard_tenant_get_the_lowest_slot_that_is_free(store: Jobs, attempts: Attempts) -> None:
    for number in range(4):
        store.insert_or_ignore(envelope(f"job{number}"), traceparent=None)
    assert [attempts.begin(f"job{number}", cap=9, slots=3) for number in range(4)] == [True, True, True, False]
    held = {attempt.job.id: attempt for attempt in attempts.unconfirmed()}
    assert [held[f"job{number}"].slot for number in range(3)] == [0, 1, 2]
    attempts.finish(held["job1"], Move.FAIL)
    assert attempts.begin("job3", cap=9, slots=3)
    assert [attempt.slot for attempt in attempts.unconfirmed() if attempt.job.id == "job3"] == [1]


def test_an_admission_is_noted_once(store: Jobs, attempts: Attempts) -> None:
    attempt, first = begun(attempts), datetime(2026, 1, 1, 12, tzinfo=UTC)
    attempts.note_admission(attempt, first)
    attempts.note_admission(attempt, datetime(2026, 1, 2, tzinfo=UTC))
    assert [one.admitted_at for one in attempts.unconfirmed()] == [first]
    assert told(store)[-1] == "attempt 1 admitted"


@pytest.mark.requirement("A7")
def test_the_turn_is_what_the_newest_attempts_say(store: Jobs, attempts: Attempts) -> None:
    assert attempts.served_last() is None
    begun(attempts)
    for number, tenant in enumerate(["globex", "acme", "acme"]):
        store.insert_or_ignore(envelope(f"job{number}", tenant), traceparent=None)
        begun(attempts, f"job{number}")
    assert attempts.served_last() == Turn("acme", 2)


@pytest.mark.requirement("A34")
def test_dispatchers_that_begin_at_once_keep_the_cap_and_the_slots(store: Jobs, attempts: Attempts) -> None:
    for number in range(12):
        store.insert_or_ignore(envelope(f"job{number}"), traceparent=None)

    def begin(number: int) -> bool:
        return attempts.begin(f"job{number % 12}", cap=5, slots=4)

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(begin, range(24)))
    assert sum(made) == 4
    assert sorted(attempt.slot or 0 for attempt in attempts.unconfirmed()) == [0, 1, 2, 3]


def test_moves_that_come_at_once_are_all_in_the_history(store: Jobs, attempts: Attempts) -> None:
    attempt = begun(attempts)
    reports = [lambda: attempts.progress("job", 1, numbers={}, data={})] * 12
    moves: list[Callable[[], object]] = [*reports, lambda: attempts.note_step(attempt, "train")]
    with ThreadPoolExecutor(8) as pool:
        kept = sum(found is True for found in pool.map(lambda move: move(), moves))
    assert attempts.finish(attempt, Move.SUCCEED)
    history = store.events("acme", "job", after=None, limit=99)
    assert [event.created_at for event in history] == sorted(event.created_at for event in history)
    assert Counter(event.message for event in history)["progress"] == kept == 12
    assert history[-1].message == "attempt 1 succeeded"


class Actors:
    """Whoever may change two jobs of a tenant, each step one transaction; with what must be true after each."""

    def __init__(self, engine: Engine) -> None:
        self.jobs, self.attempts, self.engine = Jobs(engine), Attempts(engine), engine
        self.seen: list[Attempt] = []  # what a watcher or dispatcher may still have in its hands, however old
        for job in ("one", "two"):
            self.jobs.insert_or_ignore(envelope(job), traceparent=None)

    def act(self, action: str, job: str, pick: int) -> None:
        before = self.job(job)
        if action in ASKED:
            self.expect_asked(action, before)
        elif action == "retry":
            self.jobs.retry(job)
        elif action == "begin":
            self.attempts.begin(job, cap=CAP, slots=SLOTS)
        elif action == "look":
            self.seen += [*self.attempts.unconfirmed(), *self.attempts.unfinished()]
        elif self.seen:
            attempt = self.seen[pick % len(self.seen)]
            match action:
                case "confirm":
                    self.attempts.confirm([attempt])
                case "step":
                    self.attempts.note_step(attempt, f"step{pick}")
                case _:
                    self.attempts.finish(attempt, Move(action))

    def expect_asked(self, action: str, before: Job) -> None:
        found = getattr(self.jobs, action)("acme", before.id)
        expected = after(before.state, ASKED[action]) or before.state
        if action == "pause" and before.state is JobState.QUEUED and not self.live(before.id):
            expected = JobState.PAUSED
        assert found.state is expected

    def job(self, job: str) -> Job:
        found = self.jobs.find(job)
        assert found is not None
        return found

    def live(self, job: str) -> int:
        return sum(row.job == job and row.finished_at is None for row in self.rows())

    def rows(self) -> Sequence[Row[Any]]:
        with reading(self.engine) as connection:
            return connection.execute(select(attempt_rows).order_by(attempt_rows.c.job, attempt_rows.c.number)).all()

    def check(self) -> None:
        rows = self.rows()
        slots = [row.slot for row in rows if row.finished_at is None]
        assert len(slots) == len(set(slots)) <= CAP
        for job in map(self.job, ("one", "two")):
            numbers = [row.number for row in rows if row.job == job.id]
            live = [row.number for row in rows if row.job == job.id and row.finished_at is None]
            assert numbers == list(range(1, job.attempt + 1))
            assert live in ([], [job.attempt])
            assert job.state.is_final == (job.finished_at is not None)
            assert live or job.state not in {JobState.RUNNING, JobState.PAUSING}
            assert not live or job.state is not JobState.PAUSED

    def check_history(self) -> None:
        for job in map(self.job, ("one", "two")):
            events = self.jobs.events("acme", job.id, after=None, limit=999)
            starts = [event.message for event in events if event.message.endswith("begun")]
            assert starts == [f"attempt {number} begun" for number in range(1, job.attempt + 1)]
            assert [event.id for event in events] == sorted({event.id for event in events})
            ends = [event for event in events if "succeeded" in event.message or "failed" in event.message]
            assert len(ends) <= job.attempt


ACTIONS = [*ASKED, "retry", "begin", "begin", "look", "look", "confirm", "step", "succeed", "fail", "rest"]
STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from(["one", "two"]), st.integers(0, 9)), max_size=25)


@settings(max_examples=15, deadline=None)
@given(STEPS)
def test_whatever_happens_in_whatever_order_a_job_has_one_live_attempt_at_most(
    steps: list[tuple[str, str, int]],
) -> None:
    with TemporaryDirectory() as folder:
        engine = open_store(f"sqlite:///{Path(folder)}/store.db")
        actors = Actors(engine)
        for step in steps:
            actors.act(*step)
            actors.check()
        actors.check_history()
        engine.dispose()
