"""How requests that come at once share a transaction, and stay strangers to each other all the same."""

from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest
from sqlalchemy import Engine, event

from app.contract.job import JobEnvelope, JobState
from app.intake import BrokerIntake, StoreIntake
from app.store.engine import open_store
from app.store.jobs import Jobs
from app.store.tables import events, messages
from app.tests.local import count, envelope

ANY_TRACE = "00-11111111111111111111111111111111-2222222222222222-01"


def take(engine: Engine, envelopes: Sequence[JobEnvelope], *, most_queued: int | None = None) -> list[bool | Exception]:
    """What each of the requests, made at once, was told."""
    intake, told = StoreIntake(engine), list[bool | Exception]([False] * len(envelopes))

    async def one(place: int) -> None:
        try:
            told[place] = await intake.take(envelopes[place], traceparent=ANY_TRACE, most_queued=most_queued)
        except Exception as error:  # noqa: BLE001 - compared by the test
            told[place] = error

    async def every() -> None:
        async with anyio.create_task_group() as group:
            for place in range(len(envelopes)):
                group.start_soon(one, place)

    anyio.run(every)
    return told


def test_what_is_taken_is_a_row_an_event_and_a_message(any_engine: Engine) -> None:
    told = take(any_engine, [envelope(f"job{number}", ("acme", "globex")[number % 2]) for number in range(30)])
    assert told == [True] * 30
    assert count(any_engine, messages) == count(any_engine, events) == 30
    found = Jobs(any_engine).find("job7")
    assert found is not None
    assert (found.tenant, found.state, found.traceparent) == ("globex", JobState.QUEUED, ANY_TRACE)


def test_requests_that_come_at_once_share_few_transactions(engine: Engine) -> None:
    commits: list[object] = []
    event.listen(engine, "commit", commits.append)
    take(engine, [envelope(f"job{number}") for number in range(50)])
    assert len(commits) <= 10


@pytest.mark.requirement("A6")
def test_one_of_two_requests_with_one_id_makes_the_job(any_engine: Engine) -> None:
    assert sorted(take(any_engine, [envelope("job"), envelope("job")]), key=str) == [False, True]
    assert take(any_engine, [envelope("job")]) == [False]
    assert count(any_engine, messages) == count(any_engine, events) == 1


@pytest.mark.requirement("A34")
def test_a_job_beyond_its_tenants_limit_is_made_as_one_that_failed(any_engine: Engine) -> None:
    assert take(any_engine, [envelope(f"job{number}") for number in range(5)], most_queued=3) == [True] * 5
    states = [found.state for number in range(5) if (found := Jobs(any_engine).find(f"job{number}"))]
    assert sorted(states) == [JobState.FAILED] * 2 + [JobState.QUEUED] * 3


def test_a_request_that_cannot_be_kept_harms_none_that_came_with_it(engine: Engine) -> None:
    broken = envelope("broken").model_copy(update={"created_at": "yesterday"})
    told = take(engine, [envelope("one"), broken, envelope("two")])
    assert [told[0], told[2]] == [True, True]
    assert isinstance(told[1], Exception)
    assert Jobs(engine).find("broken") is None


class Acknowledging:
    """A broker that has everything at once."""

    async def publish(self, envelope: JobEnvelope, *, traceparent: str | None, tracestate: str | None = None) -> None:
        """Nothing is left to do."""


def test_with_a_broker_of_its_own_the_row_is_made_and_no_message_in_the_store(engine: Engine) -> None:
    intake = BrokerIntake(Acknowledging(), Jobs(engine))

    async def twice() -> list[bool]:
        return [await intake.take(envelope("job"), traceparent=ANY_TRACE, most_queued=None) for _ in range(2)]

    assert anyio.run(twice) == [True, False]
    assert (count(engine, events), count(engine, messages)) == (1, 0)


def test_a_job_that_the_broker_has_is_accepted_while_the_store_is_out(tmp_path: Path) -> None:
    engine = open_store(f"sqlite:///{tmp_path}/store.db")
    intake = BrokerIntake(Acknowledging(), Jobs(engine))
    engine.dispose()
    (tmp_path / "store.db").write_bytes(b"no database any more")

    async def once() -> bool:
        return await intake.take(envelope("job"), traceparent=ANY_TRACE, most_queued=None)

    assert anyio.run(once)
    engine.dispose()
