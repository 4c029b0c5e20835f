"""How jobs come into the store: each once, with its first event, and no more of a tenant than may be queued."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from app.contract.job import JobEnvelope, JobState
from app.store.changes import now, record, record_all
from app.store.deliveries import enqueue
from app.store.dialects import hold_tenant, insert_new
from app.store.tables import jobs

QUOTA_EXCEEDED = "quota_exceeded"


def make(connection: Connection, envelope: JobEnvelope, *, traceparent: str | None, most_queued: int | None) -> bool:
    """As Jobs.insert_or_ignore, within a transaction."""
    refusal = None if most_queued is None else _refusal(connection, envelope.tenant, most_queued)
    row = _new_row(envelope, traceparent, refusal)
    made = insert_new(connection, jobs).values(row).on_conflict_do_nothing().returning(jobs.c.id)
    if connection.execute(made).first() is None:
        return False
    if refusal is None:
        record(connection, envelope, "queued")
    else:
        record(connection, envelope, f"failed: {refusal}", level="error")
        enqueue(connection, connection.execute(select(jobs).where(jobs.c.id == envelope.id)).one(), "failed")
    return True


def make_all(connection: Connection, new: Sequence[tuple[JobEnvelope, str | None]]) -> set[str]:
    """As `make`, of several jobs with their traceparents, whose tenants' queues are known to have room.

    The ids of those that were made.
    """
    rows = [_new_row(envelope, traceparent, None) for envelope, traceparent in new]
    if not rows:
        return set()
    made = insert_new(connection, jobs).on_conflict_do_nothing().returning(jobs.c.id)
    ids = set(connection.execute(made, rows).scalars())
    record_all(connection, {envelope.id: envelope for envelope, _ in new if envelope.id in ids}.values(), "queued")
    return ids


def _refusal(connection: Connection, tenant: str, most: int) -> str | None:
    """Why the tenant's queue takes no further job. The tenant is held, so that no two find the same last place."""
    hold_tenant(connection, tenant)
    queued = select(jobs.c.id).where(jobs.c.tenant == tenant, jobs.c.state == JobState.QUEUED)
    if connection.execute(queued.offset(most - 1).limit(1)).first() is None:
        return None
    return f"{most} jobs are queued already; wait for one, or raise limits.queuedJobs of the tenant file"


def _new_row(envelope: JobEnvelope, traceparent: str | None, refusal: str | None) -> dict[str, Any]:
    return {
        "id": envelope.id,
        "tenant": envelope.tenant,
        "state": JobState.QUEUED if refusal is None else JobState.FAILED,
        "version": 1,
        "attempt": 0,
        "envelope": envelope.model_dump_json(by_alias=True),
        "metadata": envelope.metadata,
        "request_hash": envelope.request_hash,
        "traceparent": traceparent,
        "created_at": envelope.created_at,
        "finished_at": None if refusal is None else now(),
        "error": refusal,
        "error_code": None if refusal is None else QUOTA_EXCEEDED,
        "numbers": {},
    }
