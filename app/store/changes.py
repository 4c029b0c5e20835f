"""How a job's row changes: under its lock, by a move of the state machine, named by id, version and state; with events.

The lock keeps a job's events in the order of their ids, so that an id is a cursor no event can slip behind.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from sqlalchemy import Connection, Row, and_, insert, select, update

from app.contract.job import JobState
from app.delivery.event import Ending
from app.jobs.state import Move, after
from app.store.deliveries import enqueue
from app.store.tables import events, jobs

Level = Literal["info", "warn", "error"]
EventType = Literal["message", "metrics"]

_ENDINGS: Mapping[JobState, Ending] = {
    JobState.SUCCEEDED: "succeeded",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}


class OfJob(Protocol):
    """A job's row or envelope."""

    @property
    def id(self) -> str: ...

    @property
    def tenant(self) -> str: ...


def locked(connection: Connection, job: str) -> Row[Any] | None:
    """The newest row of a job, which nobody else changes before this transaction has ended."""
    return connection.execute(select(jobs).where(jobs.c.id == job).with_for_update()).one_or_none()


def advance(
    connection: Connection, row: Row[Any], move: Move, *, error: str | None = None, code: str | None = None
) -> bool:
    """Make a move of app/jobs/state.py where it leads somewhere; an end is put into the outbox with it."""
    state = after(JobState(row.state), move)
    if state is None:
        return False
    values = {"state": state, **_beside(row, state, error=error, code=code)}
    if not change(connection, row, guard=jobs.c.state == row.state, values=values):
        return False
    if state in _ENDINGS:
        enqueue(connection, row, _ENDINGS[state])
    return True


def _beside(row: Row[Any], state: JobState, *, error: str | None, code: str | None) -> dict[str, Any]:
    """What else is true of a job that has come into a state."""
    if state.is_final:
        return {"finished_at": now(), "error": error, "error_code": code}
    if state is JobState.RUNNING:
        return {"started_at": row.started_at or now()}
    return {"finished_at": None, "error": None, "error_code": None}


def change(connection: Connection, row: Row[Any], *, guard: Any, values: Mapping[str, Any]) -> bool:
    """UPDATE what was read, and nothing that has changed since. False: it has."""
    condition = and_(jobs.c.id == row.id, jobs.c.version == row.version, guard)
    changed = update(jobs).where(condition).values(**values, version=row.version + 1)
    return connection.execute(changed).rowcount == 1


def record(
    connection: Connection,
    job: OfJob | Row[Any],
    message: str,
    *,
    level: Level = "info",
    kind: EventType = "message",
    data: Mapping[str, Any] | None = None,
) -> None:
    """Append to the history of a job whose row this transaction has made or locked."""
    row = {
        "job": job.id,
        "tenant": job.tenant,
        "level": level,
        "type": kind,
        "message": message,
        "data": dict(data or {}),
        "created_at": now(),
    }
    connection.execute(insert(events).values(row))


def record_all(connection: Connection, of: Iterable[OfJob], message: str) -> None:
    """The same event of several jobs whose rows this transaction has made."""
    at = now()
    rows = [
        {"job": job.id, "tenant": job.tenant, "level": "info", "type": "message", "message": message, "data": {}}
        for job in of
    ]
    if rows:
        connection.execute(insert(events), [{**row, "created_at": at} for row in rows])


def now() -> datetime:
    return datetime.now(UTC)
