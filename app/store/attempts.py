"""Attempts: which jobs wait, which run, and how each run ended. For the dispatcher and the watcher."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, and_, func, insert, select, update

from app.contract.job import JobState, workflow_name
from app.jobs.state import Move
from app.store.engine import reading, writing
from app.store.jobs import Job, advance, change, job_of, now, record
from app.store.tables import attempts, jobs

_ENDINGS = {Move.SUCCEED: "succeeded", Move.FAIL: "failed"}


@dataclass(frozen=True)
class Attempt:
    """One workflow of a job; `step` is the last that was seen."""

    job: Job
    number: int
    workflow: str
    step: str | None


@dataclass(frozen=True)
class Waiting:
    """A job that has no attempt yet."""

    id: str
    tenant: str


class Attempts:
    """The attempts of all tenants' jobs; no caller ever gets at these methods."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def waiting(self, *, each: int) -> list[Waiting]:
        """The oldest `each` jobs per tenant that have no attempt, oldest first."""
        place = func.row_number().over(partition_by=jobs.c.tenant, order_by=(jobs.c.created_at, jobs.c.id))
        queued = and_(jobs.c.state == JobState.QUEUED, jobs.c.attempt == 0)
        ranked = select(jobs.c.id, jobs.c.tenant, jobs.c.created_at, place.label("place")).where(queued).subquery()
        query = select(ranked.c.id, ranked.c.tenant).where(ranked.c.place <= each)
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(ranked.c.created_at, ranked.c.id)).all()
        return [Waiting(row.id, row.tenant) for row in rows]

    def live(self) -> dict[str, int]:
        """How many attempts of each tenant have begun and not ended."""
        query = select(jobs.c.tenant, func.count().label("attempts")).join(attempts, attempts.c.job == jobs.c.id)
        with reading(self.engine) as connection:
            rows = connection.execute(query.where(attempts.c.finished_at.is_(None)).group_by(jobs.c.tenant))
            return {row.tenant: row.attempts for row in rows}

    def served_last(self) -> str | None:
        """Whose attempt began last."""
        query = select(jobs.c.tenant).join(attempts, attempts.c.job == jobs.c.id)
        newest = query.order_by(attempts.c.created_at.desc(), attempts.c.job.desc()).limit(1)
        with reading(self.engine) as connection:
            return connection.execute(newest).scalar()

    def begin(self, job: str, *, cap: int) -> bool:
        """Give a waiting job its next attempt. False: it no longer waits, or its tenant has `cap` live attempts."""
        live = select(func.count()).select_from(attempts).join(jobs, attempts.c.job == jobs.c.id)
        with writing(self.engine) as connection:
            row = connection.execute(select(jobs).where(jobs.c.id == job)).one()
            of_tenant = live.where(attempts.c.finished_at.is_(None), jobs.c.tenant == row.tenant)
            if connection.execute(of_tenant).scalar_one() >= cap:
                return False
            number = row.attempt + 1
            guard = and_(jobs.c.state == JobState.QUEUED, jobs.c.attempt == 0)
            if not change(connection, row, guard=guard, values={"attempt": number}):
                return False
            name = workflow_name(job, number)
            values = {"job": job, "number": number, "tenant": row.tenant, "workflow": name, "created_at": now()}
            connection.execute(insert(attempts).values(values))
            record(connection, row, f"attempt {number} begun", data={"attempt": number})
            return True

    def unconfirmed(self) -> list[Attempt]:
        """Live attempts whose workflow is not known to exist: it was never made, or we died before noting it."""
        return self._attempts(and_(attempts.c.finished_at.is_(None), attempts.c.confirmed_at.is_(None)))

    def unfinished(self) -> list[Attempt]:
        """Live attempts whose workflow exists."""
        return self._attempts(and_(attempts.c.finished_at.is_(None), attempts.c.confirmed_at.is_not(None)))

    def confirm(self, attempt: Attempt) -> bool:
        """Note that the workflow of an attempt exists. False: the attempt has ended, the workflow must too."""
        live = and_(_is(attempt), attempts.c.finished_at.is_(None))
        with writing(self.engine) as connection:
            return connection.execute(update(attempts).where(live).values(confirmed_at=now())).rowcount == 1

    def drop(self, attempt: Attempt) -> None:
        """End an attempt that has no workflow and whose job has ended."""
        with writing(self.engine) as connection:
            connection.execute(update(attempts).where(_is(attempt)).values(finished_at=now()))

    def note_step(self, attempt: Attempt, step: str) -> None:
        """Note the step that an attempt is in; the first one starts the job."""
        with writing(self.engine) as connection:
            changed = update(attempts).where(_is(attempt), attempts.c.step.is_distinct_from(step)).values(step=step)
            if connection.execute(changed).rowcount == 0:
                return
            row = connection.execute(select(jobs).where(jobs.c.id == attempt.job.id)).one()
            advance(connection, row, Move.START, values={"started_at": now()})
            record(connection, attempt.job, f"step {step} of attempt {attempt.number}")

    def progress(self, job: str, number: int, *, numbers: Mapping[str, str | float], data: Mapping[str, Any]) -> bool:
        """Keep what a running attempt reports. False: it is not the job's live attempt."""
        with writing(self.engine) as connection:
            row = connection.execute(select(jobs).where(jobs.c.id == job, jobs.c.attempt == number)).one_or_none()
            if row is None or JobState(row.state).is_final:
                return False
            change(connection, row, guard=jobs.c.state == row.state, values={"numbers": {**row.numbers, **numbers}})
            percent = data.get("progressPercentage")
            text = "progress" if percent is None else f"{percent:.0f} % of attempt {number}"
            record(connection, row, text, kind="metrics", data=data)
            return True

    def finish(self, attempt: Attempt, move: Move, *, error: str | None = None) -> bool:
        """End an attempt and its job with it. False: the job had ended before (it was cancelled)."""
        with writing(self.engine) as connection:
            connection.execute(update(attempts).where(_is(attempt)).values(finished_at=now()))
            row = connection.execute(select(jobs).where(jobs.c.id == attempt.job.id)).one()
            if not advance(connection, row, move, values={"finished_at": now(), "error": error}):
                return False
            ended = f"attempt {attempt.number} {_ENDINGS[move]}"
            record(connection, row, f"{ended}: {error}" if error else ended, level="error" if error else "info")
            return True

    def _attempts(self, condition: Any) -> list[Attempt]:
        mine = [column.label(f"attempt_{column.name}") for column in attempts.c]
        query = select(jobs, *mine).join(attempts, attempts.c.job == jobs.c.id).where(condition)
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(attempts.c.created_at)).all()
        return [Attempt(job_of(row), row.attempt_number, row.attempt_workflow, row.attempt_step) for row in rows]


def _is(attempt: Attempt) -> Any:
    return and_(attempts.c.job == attempt.job.id, attempts.c.number == attempt.number)
