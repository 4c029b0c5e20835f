"""Why a queued job waits, in words, and about how long. Pure: what is known of the job, its tenant and the rest."""

from dataclasses import dataclass
from math import ceil
from typing import Literal

Reason = Literal["next_turn", "tenant_cap", "budget_spent", "no_room", "kueue"]


@dataclass(frozen=True)
class Queue:
    """Where a queued job stands.

    position: 1 for the next of its tenant, None once its attempt has begun. running: live attempts of its tenant.
    most_running: limits.runningJobs. budget_spent: of a tenant whose budget has a hard stop. room: attempts that may
    begin now, of all tenants together; None where nobody knows.
    """

    position: int | None
    running: int
    most_running: int
    budget_spent: bool = False
    room: int | None = None


@dataclass(frozen=True)
class Wait:
    """What the job waits for."""

    position: int | None
    reason: Reason
    text: str


def why(queue: Queue) -> Wait:
    """The first of the reasons that hold, in the order in which the dispatcher asks."""
    place = queue.position
    if place is None:
        return Wait(place, "kueue", "its workflow is made and waits until its namespace's quota has room for it")
    if queue.budget_spent:
        text = (
            "the tenant's budget of this month is spent; raise budget.monthly of the tenant file, or wait for the next"
        )
        return Wait(place, "budget_spent", text)
    if queue.running >= queue.most_running:
        text = (
            f"{_jobs(queue.running)} of the tenant run and {queue.most_running} may; one begins when one of them ends"
        )
        return Wait(place, "tenant_cap", f"{text}, {_before(place)}")
    if queue.room is not None and queue.room <= 0:
        return Wait(place, "no_room", f"all places are taken; tenants take turns for the next, {_before(place)}")
    return Wait(place, "next_turn", f"it begins in one of the tenant's next turns, {_before(place)}")


def seconds_until_begun(queue: Queue, *, typical_seconds: float | None) -> float | None:
    """About how long a waiting job waits, when each job of its tenant takes `typical_seconds`. None: nobody can know.

    It counts the rounds of the tenant's own places alone: what other tenants need is no other tenant's to see.
    """
    if queue.position is None or queue.budget_spent or typical_seconds is None:
        return None
    free = max(0, queue.most_running - queue.running)
    rounds = ceil(max(0, queue.position - free) / queue.most_running)
    return rounds * typical_seconds


def _jobs(count: int) -> str:
    return f"{count} job" if count == 1 else f"{count} jobs"


def _before(place: int) -> str:
    return "this job first" if place == 1 else f"{_jobs(place - 1)} of the tenant before this one"
