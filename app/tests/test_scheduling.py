"""Fair choice between tenants."""

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from app.jobs.scheduling import next_jobs


@dataclass(frozen=True)
class Job:
    tenant: str
    number: int


WAITING = st.lists(st.sampled_from("abc"), max_size=12).map(lambda of: [Job(t, n) for n, t in enumerate(of)])
ROOMS = st.dictionaries(st.sampled_from("abc"), st.integers(-1, 5))


@given(WAITING, ROOMS, st.integers(0, 12), st.sampled_from([None, "a", "b", "c"]))
def test_caps_order_and_room_are_kept_and_no_room_is_wasted(
    waiting: list[Job], rooms: dict[str, int], room: int, served_last: str | None
) -> None:
    chosen = next_jobs(waiting, rooms=rooms, room=room, served_last=served_last)
    waits, gets = Counter(job.tenant for job in waiting), Counter(job.tenant for job in chosen)
    possible = {tenant: min(count, max(0, rooms.get(tenant, 0))) for tenant, count in waits.items()}
    assert len(chosen) == min(room, sum(possible.values()))
    for tenant in waits:
        assert gets[tenant] <= possible[tenant]
        mine = [job for job in waiting if job.tenant == tenant]
        assert [job for job in chosen if job.tenant == tenant] == mine[: gets[tenant]]


@given(WAITING, st.integers(0, 12))
def test_no_tenant_gets_two_more_than_one_that_still_waits(waiting: list[Job], room: int) -> None:
    chosen = next_jobs(waiting, rooms=dict.fromkeys("abc", 99), room=room, served_last=None)
    waits, gets = Counter(job.tenant for job in waiting), Counter(job.tenant for job in chosen)
    hungry = [gets[tenant] for tenant in waits if gets[tenant] < waits[tenant]]
    assert not hungry or max(gets.values(), default=0) - min(hungry) <= 1


def test_the_turn_goes_on_after_the_tenant_served_last() -> None:
    waiting = [Job("a", 0), Job("b", 1), Job("c", 2)]
    rooms = dict.fromkeys("abc", 1)
    assert [next_jobs(waiting, rooms=rooms, room=1, served_last=last)[0].tenant for last in ("a", "b", "c")] == [*"bca"]
