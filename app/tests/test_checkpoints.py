"""Checkpoints in the store: told once each, listed newest first, to their own tenant."""

import pytest
from sqlalchemy import Engine

from app.store import checkpoints as stored
from app.store.attempts import Attempts
from app.store.checkpoints import Checkpoints
from app.store.jobs import Jobs
from app.tests.local import envelope


@pytest.fixture
def checkpoints(any_engine: Engine) -> Checkpoints:
    """With three of the first attempt of acme's job."""
    Jobs(any_engine).insert_or_ignore(envelope("job"), traceparent=None)
    attempts, made = Attempts(any_engine), Checkpoints(any_engine)
    attempts.begin("job", cap=1)
    (attempt,) = attempts.unconfirmed()
    for step in (10, 20, 30):
        assert made.add(attempt, step, {"step": step, "loss": 1 / step})
    return made


def test_checkpoints_are_listed_newest_first_and_page_by_page(checkpoints: Checkpoints) -> None:
    first = checkpoints.list("acme", "job", after=None, limit=2)
    rest = checkpoints.list("acme", "job", after=first[-1].id, limit=2)
    assert [found.step for found in (*first, *rest)] == [30, 20, 10]
    assert first[0].metrics == {"step": 30, "loss": 1 / 30}
    assert first[0].attempt == 1


def test_another_tenant_sees_no_checkpoint(checkpoints: Checkpoints) -> None:
    assert checkpoints.list("globex", "job", after=None, limit=9) == []


def test_a_checkpoint_told_twice_is_one(checkpoints: Checkpoints, any_engine: Engine) -> None:
    (attempt,) = Attempts(any_engine).unconfirmed()
    assert not checkpoints.add(attempt, 30, {"step": 30})
    assert len(checkpoints.list("acme", "job", after=None, limit=9)) == 3


def test_a_step_that_tells_of_ever_more_fills_no_store(
    checkpoints: Checkpoints, any_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "MOST_OF_AN_ATTEMPT", 3)
    (attempt,) = Attempts(any_engine).unconfirmed()
    assert not checkpoints.add(attempt, 40, {})
