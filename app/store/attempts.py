"""Attempts: which jobs wait, which run, and how each run ended. For the dispatcher and the watcher."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, and_, func, insert, select, update

from app.contract.job import JobState, workflow_name
from app.jobs.scheduling import Turn
from app.jobs.state import Move, after
from app.store.changes import advance, change, locked, now, record
from app.store.dialects import hold_tenant
from app.store.engine import reading, writing
from app.store.jobs import Job, job_of, waits
from app.store.tables import attempts, jobs

_ENDINGS = {Move.SUCCEED: "succeeded", Move.FAIL: "failed", Move.REST: "paused"}
_LONGEST_TURN = 100  # the greatest weight


@dataclass(frozen=True)
class Attempt:
    """One workflow of a job; `step` is the last that was seen, `slot` the account of its own in a hard tenant."""

    job: Job
    number: int
    workflow: str
    step: str | None
    slot: int | None
    created_at: datetime
    admitted_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class Waiting:
    """A job that has no live attempt."""

    id: str
    tenant: str


class Attempts:
    """The attempts of all tenants' jobs; no caller ever gets at these methods."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def waiting(self, *, each: int) -> list[Waiting]:
        """The oldest `each` jobs per tenant that are queued and have no live attempt, oldest first."""
        oldest = select(jobs.c.id, jobs.c.tenant, jobs.c.created_at).order_by(jobs.c.created_at, jobs.c.id).limit(each)
        tenants = select(jobs.c.tenant).where(jobs.c.state == JobState.QUEUED).distinct()
        with reading(self.engine) as connection:
            found = [
                row
                for tenant in connection.execute(tenants).scalars().all()
                for row in connection.execute(oldest.where(waits, jobs.c.tenant == tenant))
            ]
        return [Waiting(row.id, row.tenant) for row in sorted(found, key=lambda row: (row.created_at, row.id))]

    def live(self) -> dict[str, int]:
        """How many attempts of each tenant have begun and not ended."""
        query = select(attempts.c.tenant, func.count().label("attempts")).where(attempts.c.finished_at.is_(None))
        with reading(self.engine) as connection:
            return {row.tenant: row.attempts for row in connection.execute(query.group_by(attempts.c.tenant))}

    def served_last(self) -> Turn | None:
        """Whose attempts began last, and how many in a row."""
        newest = select(attempts.c.tenant).order_by(attempts.c.created_at.desc(), attempts.c.job.desc())
        with reading(self.engine) as connection:
            tenants = connection.execute(newest.limit(_LONGEST_TURN)).scalars().all()
        if not tenants:
            return None
        others = (place for place, tenant in enumerate(tenants) if tenant != tenants[0])
        return Turn(tenants[0], next(others, len(tenants)))

    def begin(self, job: str, *, cap: int, slots: int | None = None) -> bool:
        """Give a waiting job its next attempt, and the lowest free one of its tenant's `slots` where it has such.

        False: it no longer waits, or its tenant has `cap` live attempts, or no slot is free.
        """
        with writing(self.engine) as connection:
            tenant = connection.execute(select(jobs.c.tenant).where(jobs.c.id == job)).scalar_one()
            hold_tenant(connection, tenant)
            taken = _taken_slots(connection, tenant)
            slot = None if slots is None else next((free for free in range(slots) if free not in taken), None)
            if len(taken) >= cap or (slots is not None and slot is None):
                return False
            row = locked(connection, job)
            if row is None or not change(connection, row, guard=waits, values={"attempt": row.attempt + 1}):
                return False
            number = row.attempt + 1
            made = {"job": job, "number": number, "tenant": tenant, "workflow": workflow_name(job, number)}
            connection.execute(insert(attempts).values(**made, slot=slot, created_at=now()))
            record(connection, row, f"attempt {number} begun", data={"attempt": number})
            return True

    def unconfirmed(self) -> list[Attempt]:
        """Live attempts whose workflow is not known to exist: it was never made, or we died before noting it."""
        return self._attempts(and_(attempts.c.finished_at.is_(None), attempts.c.confirmed_at.is_(None)))

    def unfinished(self) -> list[Attempt]:
        """Live attempts whose workflow exists."""
        return self._attempts(and_(attempts.c.finished_at.is_(None), attempts.c.confirmed_at.is_not(None)))

    def find(self, job: str, number: int) -> Attempt | None:
        """An attempt with its job as it stands now, live or ended."""
        found = self._attempts(and_(attempts.c.job == job, attempts.c.number == number))
        return found[0] if found else None

    def tenant_of(self, workflow: str) -> str | None:
        """The tenant whose attempt the workflow of this name is; None: there is no such attempt."""
        query = select(attempts.c.tenant).where(attempts.c.workflow == workflow)
        with reading(self.engine) as connection:
            return connection.execute(query).scalar()

    def confirm(self, made: Sequence[Attempt]) -> list[Attempt]:
        """Note that the workflows of these attempts exist. Returns those that have ended, whose workflows must too."""
        names = sorted(attempt.workflow for attempt in made)
        live = and_(attempts.c.workflow.in_(names), attempts.c.finished_at.is_(None))
        confirmed = update(attempts).where(live).values(confirmed_at=now()).returning(attempts.c.workflow)
        if not names:
            return []
        with writing(self.engine) as connection:
            found = set(connection.execute(confirmed).scalars())
        return [attempt for attempt in made if attempt.workflow not in found]

    def note_step(self, attempt: Attempt, step: str) -> None:
        """Note the step that an attempt is in; the first one starts the job."""
        with writing(self.engine) as connection:
            row = locked(connection, attempt.job.id)
            news = attempts.c.step.is_distinct_from(step)
            if row is not None and _note(connection, attempt, news, step=step):
                advance(connection, row, Move.START)
                record(connection, row, f"step {step} of attempt {attempt.number}")

    def note_admission(self, attempt: Attempt, at: datetime) -> None:
        """Note when Kueue, or the machine, had room for an attempt; the first time counts."""
        with writing(self.engine) as connection:
            row = locked(connection, attempt.job.id)
            if row is not None and _note(connection, attempt, attempts.c.admitted_at.is_(None), admitted_at=at):
                record(connection, row, f"attempt {attempt.number} admitted", data={"admittedAt": at.isoformat()})

    def progress(self, job: str, number: int, *, numbers: Mapping[str, str | float], data: Mapping[str, Any]) -> bool:
        """Keep what a running attempt reports. False: it is not the job's live attempt."""
        mine = and_(attempts.c.job == job, attempts.c.number == number, attempts.c.finished_at.is_(None))
        with writing(self.engine) as connection:
            row = locked(connection, job)
            if row is None or JobState(row.state).is_final or connection.execute(select(1).where(mine)).first() is None:
                return False
            change(connection, row, guard=jobs.c.state == row.state, values={"numbers": {**row.numbers, **numbers}})
            percent = data.get("progressPercentage")
            text = "progress" if percent is None else f"{percent:.0f} % of attempt {number}"
            record(connection, row, text, kind="metrics", data=data)
            return True

    def finish(self, attempt: Attempt, move: Move, *, error: str | None = None, code: str | None = None) -> bool:
        """End an attempt, and its job by SUCCEED or FAIL; REST lets a pausing job pause.

        False: the attempt had ended before, or the job had (it was cancelled), or was not to pause.
        """
        with writing(self.engine) as connection:
            row = locked(connection, attempt.job.id)
            if row is None or (after(JobState(row.state), move) is None and not JobState(row.state).is_final):
                return False
            if not _note(connection, attempt, finished_at=now()):
                return False
            if not advance(connection, row, move, error=error, code=code):
                return False
            ended = f"attempt {attempt.number} {_ENDINGS[move]}"
            record(connection, row, f"{ended}: {error}" if error else ended, level="error" if error else "info")
            return True

    def _attempts(self, condition: Any) -> list[Attempt]:
        mine = [column.label(f"attempt_{column.name}") for column in attempts.c]
        query = select(jobs, *mine).join(attempts, attempts.c.job == jobs.c.id).where(condition)
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(attempts.c.created_at)).all()
        return [
            Attempt(
                job=job_of(row),
                number=row.attempt_number,
                workflow=row.attempt_workflow,
                step=row.attempt_step,
                slot=row.attempt_slot,
                created_at=row.attempt_created_at,
                admitted_at=row.attempt_admitted_at,
                finished_at=row.attempt_finished_at,
            )
            for row in rows
        ]


def _note(connection: Connection, attempt: Attempt, *conditions: Any, **values: Any) -> bool:
    """Change a live attempt where the conditions hold. False: it has ended, or they do not."""
    live = and_(attempts.c.job == attempt.job.id, attempts.c.number == attempt.number, attempts.c.finished_at.is_(None))
    return connection.execute(update(attempts).where(live, *conditions).values(**values)).rowcount == 1


def _taken_slots(connection: Connection, tenant: str) -> list[int | None]:
    """The slot of each live attempt of a tenant; None where it needs none."""
    live = and_(attempts.c.tenant == tenant, attempts.c.finished_at.is_(None))
    return list(connection.execute(select(attempts.c.slot).where(live)).scalars())
