"""Which waiting jobs begin next: fair between tenants, within each tenant's cap and the room there is.

Deficit round robin with one job as quantum and as cost: no deficit outlives its turn, so the tenant served last is all
there is to remember, and a flood of one tenant costs each other one at most a turn.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar


class OfTenant(Protocol):
    """What a job must tell of itself to be scheduled."""

    @property
    def tenant(self) -> str: ...


JobT = TypeVar("JobT", bound=OfTenant)


def next_jobs(waiting: Sequence[JobT], *, rooms: Mapping[str, int], room: int, served_last: str | None) -> list[JobT]:
    """The jobs to begin now, in their order.

    waiting: oldest first. rooms: how many more jobs a tenant may run; absent is none. room: how many more there may be
    in all. served_last: whose job was begun last; the turn goes on with the tenant after it, by name.
    """
    lines: dict[str, deque[JobT]] = {}
    for job in waiting:
        line = lines.setdefault(job.tenant, deque())
        if len(line) < rooms.get(job.tenant, 0):
            line.append(job)
    turn = deque(sorted(lines, key=lambda tenant: (served_last is not None and tenant <= served_last, tenant)))
    chosen: list[JobT] = []
    while turn and len(chosen) < room:
        tenant = turn.popleft()
        if line := lines[tenant]:
            chosen.append(line.popleft())
            turn.append(tenant)
    return chosen
