"""The queue's limit at the border: counted seldom, and never refused by a stale count."""

import anyio
import pytest

from app.api.errors import Problem
from app.api.finetune import RECOUNT_SECONDS, QueueRoom
from app.contract.directory import Limits
from app.contract.job import JobState
from app.tests.cast import tenant_entry

ACME = tenant_entry(limits=Limits(queued_jobs=3))


class Counted:
    """A store that knows how many jobs are queued, and how often it was asked."""

    def __init__(self, queued: int = 0) -> None:
        self.queued = queued
        self.asked = 0

    def counts(self, tenant: str) -> dict[JobState, int]:
        assert tenant == "acme"
        self.asked += 1
        return {JobState.QUEUED: self.queued}


def take(room: QueueRoom, times: int = 1) -> None:
    async def some() -> None:
        for _ in range(times):
            await room.take(ACME)

    anyio.run(some)


def room_over(store: Counted, now: list[float]) -> QueueRoom:
    return QueueRoom(store, clock=lambda: now[0])  # type: ignore[arg-type]  # nothing else of it is used


def test_a_burst_is_counted_once_and_reckoned_on() -> None:
    store, now = Counted(), [0.0]
    room = room_over(store, now)
    take(room, 3)
    assert store.asked == 1
    now[0] += RECOUNT_SECONDS
    take(room)
    assert store.asked == 2


def test_nothing_is_refused_before_it_is_counted_again() -> None:
    store = Counted()
    room = room_over(store, [0.0])
    take(room, 3)
    take(room)  # those three have begun meanwhile
    assert store.asked == 2
    store.queued = 3
    take(room, 2)
    with pytest.raises(Problem) as refusal:
        take(room)
    assert (refusal.value.status, refusal.value.code) == (429, "queue_full")
