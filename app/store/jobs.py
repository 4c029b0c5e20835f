"""Job rows. A job outlives its workflows; every UPDATE names the id, version and state it was decided on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, and_, func, literal, select, tuple_

from app.contract.job import JobEnvelope, JobState
from app.jobs.state import Move
from app.store.changes import EventType, Level, advance, locked, record
from app.store.dialects import holds_pair
from app.store.engine import reading, writing
from app.store.insertion import make
from app.store.tables import Moment, attempts, events, jobs

_TYPICAL = 20  # jobs that tell how long one takes
_OF_ENVELOPE = {"metadata", "request_hash"}  # columns to search by

# A live attempt is one that has not ended; a job has at most one.
has_live_attempt = (
    select(attempts.c.number).where(attempts.c.job == jobs.c.id, attempts.c.finished_at.is_(None)).exists()
)
waits = and_(jobs.c.state == JobState.QUEUED, ~has_live_attempt)


@dataclass(frozen=True)
class Job:
    """One row. `attempt` is 0 until the dispatcher has begun the first one."""

    id: str
    tenant: str
    state: JobState
    version: int
    attempt: int
    envelope: JobEnvelope
    traceparent: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None
    error_code: str | None
    numbers: dict[str, str | float]


@dataclass(frozen=True)
class JobEvent:
    """One entry of a job's history; `id` rises and is the cursor of listings."""

    id: int
    job: str
    tenant: str
    created_at: datetime
    level: Level
    type: EventType
    message: str
    data: dict[str, Any]


class Jobs:
    """The jobs of all tenants. Methods that serve callers take the tenant and see only its rows."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def insert_or_ignore(
        self, envelope: JobEnvelope, *, traceparent: str | None, most_queued: int | None = None
    ) -> bool:
        """Make the row of a job, once. False: it was there. The API and the consumer both call this.

        A job beyond `most_queued` of its tenant is made too, as one that failed, so that its caller can see why.
        """
        with writing(self.engine, tenant=envelope.tenant) as connection:
            return make(connection, envelope, traceparent=traceparent, most_queued=most_queued)

    def get(self, tenant: str, job: str) -> Job | None:
        with reading(self.engine, tenant=tenant) as connection:
            row = connection.execute(_of(tenant).where(jobs.c.id == job)).one_or_none()
        return job_of(row) if row else None

    def find(self, job: str) -> Job | None:
        """For our own processes, which act for no caller."""
        with reading(self.engine) as connection:
            row = connection.execute(select(jobs).where(jobs.c.id == job)).one_or_none()
        return job_of(row) if row else None

    def same_request(self, tenant: str, request_hash: str, *, since: datetime) -> Job | None:
        """The tenant's newest job, made at `since` or later, of a request with this hash."""
        same = _of(tenant).where(jobs.c.created_at >= since, jobs.c.request_hash == request_hash)
        with reading(self.engine, tenant=tenant) as connection:
            row = connection.execute(same.order_by(*_NEWEST_FIRST).limit(1)).one_or_none()
        return job_of(row) if row else None

    def events(self, tenant: str, job: str, *, after: int | None, limit: int) -> list[JobEvent]:
        """At most `limit` events of the tenant's job, oldest first, that follow the event `after`."""
        own = _of(tenant).where(jobs.c.id == job).with_only_columns(jobs.c.id)
        query = select(events).where(events.c.job.in_(own), events.c.id > (after or 0)).order_by(events.c.id)
        with reading(self.engine, tenant=tenant) as connection:
            return [JobEvent(**row) for row in connection.execute(query.limit(limit)).mappings()]

    def counts(self, tenant: str) -> dict[JobState, int]:
        """How many jobs are in each state; every state is named."""
        # naming all the states lets the index be used, which begins with the state
        mine = and_(jobs.c.state.in_(list(JobState)), jobs.c.tenant == tenant)
        query = select(jobs.c.state, func.count().label("jobs")).where(mine).group_by(jobs.c.state)
        with reading(self.engine, tenant=tenant) as connection:
            found = {row.state: row.jobs for row in connection.execute(query)}
        return {state: found.get(state, 0) for state in JobState}

    def position(self, tenant: str, job: str) -> int | None:
        """The place of a waiting job among its tenant's, 1 for the next. None: it does not wait, or is not there."""
        with reading(self.engine, tenant=tenant) as connection:
            row = connection.execute(_of(tenant).where(jobs.c.id == job, waits)).one_or_none()
            if row is None:
                return None
            not_later = tuple_(jobs.c.created_at, jobs.c.id) <= _mark(row)
            ahead = _of(tenant).where(waits, not_later).with_only_columns(func.count())
            return connection.execute(ahead).scalar_one()

    def running(self, tenant: str) -> int:
        """How many live attempts the tenant's jobs have."""
        live = and_(attempts.c.tenant == tenant, attempts.c.finished_at.is_(None))
        with reading(self.engine, tenant=tenant) as connection:
            return connection.execute(select(func.count()).select_from(attempts).where(live)).scalar_one()

    def typical_seconds(self, tenant: str) -> float | None:
        """How long the tenant's last jobs ran, as their median. None: none has succeeded."""
        ended = _of(tenant).where(jobs.c.state == JobState.SUCCEEDED, jobs.c.started_at.is_not(None))
        with reading(self.engine, tenant=tenant) as connection:
            rows = connection.execute(ended.order_by(*_NEWEST_FIRST).limit(_TYPICAL)).all()
        return median((row.finished_at - row.started_at).total_seconds() for row in rows) if rows else None

    def cancel(self, tenant: str, job: str) -> Job | None:
        """Cancel the tenant's job where it has not ended; the watcher then stops its workflow. None: no such job."""
        return self._ask(tenant, job, Move.CANCEL, told="cancelled")

    def pause(self, tenant: str, job: str) -> Job | None:
        """Pause the tenant's job: at once where it has no live attempt, else once the watcher has seen its end."""
        return self._ask(tenant, job, Move.PAUSE, told="pausing: its workflow is asked to save a checkpoint and stop")

    def resume(self, tenant: str, job: str) -> Job | None:
        """Let a paused job of the tenant wait for its next attempt."""
        return self._ask(tenant, job, Move.RESUME, told="resumed")

    def retry(self, job: str) -> Job | None:
        """Let a failed job wait for its next attempt; for operators. None: no such job."""
        with writing(self.engine) as connection:
            row = locked(connection, job)
            if row is None:
                return None
            if advance(connection, row, Move.RETRY):
                record(connection, row, "retried by an operator")
            return job_of(connection.execute(select(jobs).where(jobs.c.id == job)).one())

    def list(
        self, tenant: str, *, after: str | None, limit: int, metadata: Mapping[str, str] | None = None
    ) -> list[Job]:
        """At most `limit` jobs, newest first, older than the job `after`, whose metadata hold these pairs."""
        query = _of(tenant).order_by(*_NEWEST_FIRST).limit(limit)
        with reading(self.engine, tenant=tenant) as connection:
            for key, value in (metadata or {}).items():
                query = query.where(holds_pair(connection, jobs.c.metadata, key=key, value=value))
            if after is not None:
                mark = connection.execute(_of(tenant).where(jobs.c.id == after)).one_or_none()
                if mark is None:
                    return []
                query = query.where(tuple_(jobs.c.created_at, jobs.c.id) < _mark(mark))
            return [job_of(row) for row in connection.execute(query)]

    def _ask(self, tenant: str, job: str, move: Move, *, told: str) -> Job | None:
        """Make a move that the caller of a job asks for. The job as it is then, None where the tenant has no such."""
        mine = _of(tenant).where(jobs.c.id == job)
        with writing(self.engine, tenant=tenant) as connection:
            row = connection.execute(mine.with_for_update()).one_or_none()
            if row is None:
                return None
            if advance(connection, row, move):
                if move is Move.PAUSE and not _is_live(connection, job):
                    advance(connection, connection.execute(mine).one(), Move.REST)
                    told = "paused"
                record(connection, row, told)
            return job_of(connection.execute(mine).one())


_NEWEST_FIRST = (jobs.c.created_at.desc(), jobs.c.id.desc())


def _of(tenant: str) -> Select[Any]:
    """The one place where a tenant's rows are told from others'; PostgreSQL's row security says the same again."""
    return select(jobs).where(jobs.c.tenant == tenant)


def _mark(row: Row[Any]) -> Any:
    """Where a job stands in the order of age, to be compared with others as one value, which an index can seek."""
    return tuple_(literal(row.created_at, Moment), literal(row.id))


def _is_live(connection: Connection, job: str) -> bool:
    return connection.execute(select(jobs.c.id).where(jobs.c.id == job, has_live_attempt)).first() is not None


def job_of(row: Row[Any]) -> Job:
    """A row that holds at least the columns of `jobs`."""
    columns = {column.name: getattr(row, column.name) for column in jobs.c if column.name not in _OF_ENVELOPE}
    state, envelope = JobState(columns.pop("state")), JobEnvelope.model_validate_json(columns.pop("envelope"))
    return Job(state=state, envelope=envelope, **columns)
