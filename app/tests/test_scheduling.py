"""Fair choice between tenants."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.scheduling import Turn, next_jobs


@dataclass(frozen=True)
class Job:
    tenant: str
    number: int


WAITING = st.lists(st.sampled_from("abc"), max_size=12).map(lambda of: [Job(t, n) for n, t in enumerate(of)])
ROOMS = st.dictionaries(st.sampled_from("abc"), st.integers(-1, 5))
WEIGHTS = st.dictionaries(st.sampled_from("abc"), st.integers(1, 4))
LAST = st.none() | st.builds(Turn, st.sampled_from("abcd"), st.integers(1, 5))
NO_CAP = dict.fromkeys("abc", 2000)


@given(WAITING, ROOMS, WEIGHTS, st.integers(0, 12), LAST, st.sets(st.sampled_from("abc")))
def test_caps_order_room_and_budgets_are_kept_and_no_room_is_wasted(
    waiting: list[Job], rooms: dict[str, int], weights: dict[str, int], room: int, last: Turn | None, stopped: set[str]
) -> None:
    chosen = next_jobs(waiting, rooms=rooms, room=room, served_last=last, weights=weights, stopped=stopped)
    waits, gets = Counter(job.tenant for job in waiting), Counter(job.tenant for job in chosen)
    allowed = {tenant: 0 if tenant in stopped else max(0, rooms.get(tenant, 0)) for tenant in waits}
    possible = {tenant: min(count, allowed[tenant]) for tenant, count in waits.items()}
    assert len(chosen) == min(room, sum(possible.values()))
    for tenant in waits:
        assert gets[tenant] <= possible[tenant]
        mine = [job for job in waiting if job.tenant == tenant]
        assert [job for job in chosen if job.tenant == tenant] == mine[: gets[tenant]]


@given(WAITING, WEIGHTS, st.integers(0, 12))
def test_no_tenant_is_a_turn_ahead_of_one_that_still_waits(
    waiting: list[Job], weights: dict[str, int], room: int
) -> None:
    chosen = next_jobs(waiting, rooms=NO_CAP, room=room, served_last=None, weights=weights)
    waits, gets = Counter(job.tenant for job in waiting), Counter(job.tenant for job in chosen)
    turns = {tenant: gets[tenant] / weights.get(tenant, 1) for tenant in waits}
    hungry = [turns[tenant] for tenant in waits if gets[tenant] < waits[tenant]]
    assert not hungry or max(turns.values(), default=0) - min(hungry) <= 1


def test_the_turn_goes_on_after_the_tenant_served_last() -> None:
    waiting = [Job("a", 0), Job("b", 1), Job("c", 2)]
    lasts = [Turn(tenant, 1) for tenant in "abc"]
    assert [next_jobs(waiting, rooms=NO_CAP, room=1, served_last=last)[0].tenant for last in lasts] == [*"bca"]


def rounds(lines: dict[str, int], *, weights: dict[str, int], room: int = 1) -> Iterator[str]:
    """Whose jobs begin, round by round, where each round knows no more than the store does."""
    waiting = [Job(tenant, number) for tenant, count in lines.items() for number in range(count)]
    begun: list[str] = []
    while waiting:
        last = Turn(begun[-1], len(list(takewhile(begun[-1].__eq__, reversed(begun))))) if begun else None
        chosen = next_jobs(waiting, rooms=NO_CAP, room=room, served_last=last, weights=weights)
        waiting = [job for job in waiting if job not in chosen]
        begun += [job.tenant for job in chosen]
        yield from begun[-len(chosen) :]


@pytest.mark.parametrize("room", [1, 2, 5, 12])
def test_weights_hold_over_rounds_of_any_size(room: int) -> None:
    begun = Counter(islice(rounds({"a": 300, "b": 300, "c": 300}, weights={"a": 3, "b": 2}, room=room), 120))
    assert begun == {"a": 60, "b": 40, "c": 20}


@pytest.mark.requirement("A7")
@given(st.integers(0, 40), st.integers(1, 3), st.sampled_from(["a", "z"]))
def test_a_quiet_tenant_waits_two_slots_at_most_behind_a_thousand_jobs(before: int, room: int, quiet: str) -> None:
    flood = [Job("m", number) for number in range(1000)]
    last = Turn("m", before) if before else None
    waiting = [*flood, Job(quiet, 1000)]
    for slot in range(0, 3, room):
        chosen = next_jobs(waiting, rooms={**NO_CAP, "m": 2000, quiet: 1}, room=room, served_last=last)
        if mine := [place for place, job in enumerate(chosen) if job.tenant == quiet]:
            assert slot + mine[0] <= 2
            return
        waiting, last = [job for job in waiting if job not in chosen], Turn("m", before + slot + room)
    raise AssertionError("the quiet tenant got none of the first slots")
