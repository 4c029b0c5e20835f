"""Job rows. A job outlives its workflows; every UPDATE names the id, version and state it was decided on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from sqlalchemy import Connection, Engine, Row, Select, and_, func, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or

from app.contract.job import JobEnvelope, JobState
from app.jobs.state import Move, after
from app.store.engine import reading, writing
from app.store.tables import events, jobs

_OF_ENVELOPE = {"metadata", "request_hash"}  # columns to search by

Level = Literal["info", "warn", "error"]
EventType = Literal["message", "metrics"]


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

    def insert_or_ignore(self, envelope: JobEnvelope, *, traceparent: str | None) -> bool:
        """Make the row of a job, once. False: it was there. The API and the consumer both call this."""
        row = {
            "id": envelope.id,
            "tenant": envelope.tenant,
            "state": JobState.QUEUED,
            "version": 1,
            "attempt": 0,
            "envelope": envelope.model_dump_json(by_alias=True),
            "metadata": envelope.metadata,
            "request_hash": envelope.request_hash,
            "traceparent": traceparent,
            "created_at": envelope.created_at,
            "numbers": {},
        }
        with writing(self.engine) as connection:
            made = connection.execute(insert_or(jobs).values(row).on_conflict_do_nothing()).rowcount == 1
            if made:
                record(connection, envelope, "queued")
            return made

    def get(self, tenant: str, job: str) -> Job | None:
        with reading(self.engine) as connection:
            row = connection.execute(_of(tenant).where(jobs.c.id == job)).one_or_none()
        return job_of(row) if row else None

    def find(self, job: str) -> Job | None:
        """For our own processes, which act for no caller."""
        with reading(self.engine) as connection:
            row = connection.execute(select(jobs).where(jobs.c.id == job)).one_or_none()
        return job_of(row) if row else None

    def events(self, tenant: str, job: str, *, after: int | None, limit: int) -> list[JobEvent]:
        """At most `limit` events of the tenant's job, oldest first, that follow the event `after`."""
        own = _of(tenant).where(jobs.c.id == job).with_only_columns(jobs.c.id)
        query = select(events).where(events.c.job.in_(own), events.c.id > (after or 0)).order_by(events.c.id)
        with reading(self.engine) as connection:
            return [JobEvent(**row) for row in connection.execute(query.limit(limit)).mappings()]

    def counts(self, tenant: str) -> dict[JobState, int]:
        """How many jobs are in each state; every state is named."""
        query = select(jobs.c.state, func.count().label("jobs")).where(jobs.c.tenant == tenant).group_by(jobs.c.state)
        with reading(self.engine) as connection:
            found = {row.state: row.jobs for row in connection.execute(query)}
        return {state: found.get(state, 0) for state in JobState}

    def cancel(self, tenant: str, job: str) -> Job | None:
        """Cancel the tenant's job where it has not ended; the watcher then stops its workflow. None: no such job."""
        with writing(self.engine) as connection:
            row = connection.execute(_of(tenant).where(jobs.c.id == job)).one_or_none()
            if row is None:
                return None
            if advance(connection, row, Move.CANCEL, values={"finished_at": now()}):
                record(connection, row, "cancelled")
            return job_of(connection.execute(_of(tenant).where(jobs.c.id == job)).one())

    def list(
        self, tenant: str, *, after: str | None, limit: int, metadata: Mapping[str, str] | None = None
    ) -> list[Job]:
        """At most `limit` jobs, newest first, older than the job `after`, whose metadata hold these pairs."""
        query = _of(tenant).order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(limit)
        for key, value in (metadata or {}).items():
            pair = func.json_each(jobs.c.metadata).table_valued("key", "value")
            query = query.where(select(pair).where(pair.c.key == key, pair.c.value == value).exists())
        with reading(self.engine) as connection:
            if after is not None:
                mark = connection.execute(_of(tenant).where(jobs.c.id == after)).one_or_none()
                if mark is None:
                    return []
                older = and_(jobs.c.created_at == mark.created_at, jobs.c.id < mark.id)
                query = query.where(or_(jobs.c.created_at < mark.created_at, older))
            return [job_of(row) for row in connection.execute(query)]


def _of(tenant: str) -> Select[Any]:
    """The one place where a tenant's rows are told from others'."""
    return select(jobs).where(jobs.c.tenant == tenant)


def job_of(row: Row[Any]) -> Job:
    """A row that holds at least the columns of `jobs`."""
    columns = {column.name: getattr(row, column.name) for column in jobs.c if column.name not in _OF_ENVELOPE}
    state, envelope = JobState(columns.pop("state")), JobEnvelope.model_validate_json(columns.pop("envelope"))
    return Job(state=state, envelope=envelope, **columns)


def advance(connection: Connection, row: Row[Any], move: Move, *, values: Mapping[str, Any]) -> bool:
    """Make a move of app/jobs/state.py where it leads somewhere."""
    state = after(JobState(row.state), move)
    if state is None:
        return False
    return change(connection, row, guard=jobs.c.state == row.state, values={**values, "state": state})


def change(connection: Connection, row: Row[Any], *, guard: Any, values: Mapping[str, Any]) -> bool:
    """UPDATE what was read, and nothing that has changed since. False: it has."""
    condition = and_(jobs.c.id == row.id, jobs.c.version == row.version, guard)
    changed = update(jobs).where(condition).values(**values, version=row.version + 1)
    return connection.execute(changed).rowcount == 1


class OfJob(Protocol):
    """A job's row or envelope."""

    @property
    def id(self) -> str: ...

    @property
    def tenant(self) -> str: ...


def record(
    connection: Connection,
    job: OfJob | Row[Any],
    message: str,
    *,
    level: Level = "info",
    kind: EventType = "message",
    data: Mapping[str, Any] | None = None,
) -> None:
    """Append to the history of a job."""
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


def now() -> datetime:
    return datetime.now(UTC)
