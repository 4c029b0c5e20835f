"""Which waiting jobs begin next: fair between tenants, within each tenant's cap and the room there is.

Deficit round robin (Shreedhar and Varghese, 1995) where a job costs 1 and a tenant's quantum is its weight: no deficit
outlives a turn, so whose turn it is and how much of it is used is all there is to remember, and the newest attempts
in the store tell both. A flood of one tenant costs each other one at most that tenant's turn.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar


class OfTenant(Protocol):
    """What a job must tell of itself to be scheduled."""

    @property
    def tenant(self) -> str: ...


JobT = TypeVar("JobT", bound=OfTenant)


@dataclass(frozen=True)
class Turn:
    """Whose jobs were begun last, and how many of them one after another."""

    tenant: str
    begun: int


def next_jobs(
    waiting: Sequence[JobT],
    *,
    rooms: Mapping[str, int],
    room: int,
    served_last: Turn | None,
    weights: Mapping[str, int] | None = None,
    stopped: Collection[str] = (),
) -> list[JobT]:
    """The jobs to begin now, in their order.

    waiting: oldest first. rooms: how many more jobs a tenant may run; absent is none. room: how many more there may be
    in all. served_last: the turn goes on with its tenant while that has weight left, then by name. weights: jobs that
    a tenant begins in one turn; absent is 1. stopped: tenants whose budget is spent.
    """
    quanta = weights or {}
    lines: dict[str, deque[JobT]] = {}
    for job in waiting:
        line = lines.setdefault(job.tenant, deque())
        if job.tenant not in stopped and len(line) < rooms.get(job.tenant, 0):
            line.append(job)
    chosen: list[JobT] = []
    turns = deque(_turns(lines, served_last, quanta))
    while turns and len(chosen) < room:
        tenant, quantum = turns.popleft()
        line = lines[tenant]
        chosen += [line.popleft() for _ in range(min(quantum, len(line), room - len(chosen)))]
        if line:
            turns.append((tenant, quanta.get(tenant, 1)))
    return chosen


def _turns(tenants: Iterable[str], last: Turn | None, quanta: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """The next turn of each tenant, by name after the one served last; what that one has left of its turn is first."""
    left = quanta.get(last.tenant, 1) - last.begun if last else 0
    if last and left > 0 and last.tenant in tenants:
        yield last.tenant, left
    for tenant in sorted(tenants, key=lambda tenant: (last is not None and tenant <= last.tenant, tenant)):
        if not (last and left > 0 and tenant == last.tenant):
            yield tenant, quanta.get(tenant, 1)
