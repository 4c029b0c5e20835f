"""Checkpoints that the steps of an attempt have told of. The files are in the tenant's bucket, and nobody else's."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, func, select

from app.store.attempts import Attempt
from app.store.changes import now
from app.store.dialects import insert_new
from app.store.engine import reading, writing
from app.store.tables import checkpoints

MOST_OF_AN_ATTEMPT = 1000  # a training that saves more often is not listed in full


@dataclass(frozen=True)
class Checkpoint:
    """One row. `id` rises and is the cursor of listings; `step` is the optimizer's."""

    id: int
    job: str
    tenant: str
    attempt: int
    step: int
    metrics: dict[str, Any]
    created_at: datetime


class Checkpoints:
    """Those of all tenants; what serves callers takes the tenant and sees only its rows."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def add(self, attempt: Attempt, step: int, metrics: Mapping[str, Any]) -> bool:
        """Keep that a checkpoint was saved. False: it was told before, or there are too many."""
        row = {
            "job": attempt.job.id,
            "tenant": attempt.job.tenant,
            "attempt": attempt.number,
            "step": step,
            "metrics": dict(metrics),
            "created_at": now(),
        }
        mine = (checkpoints.c.job == attempt.job.id, checkpoints.c.attempt == attempt.number)
        count = select(func.count()).select_from(checkpoints).where(*mine)
        with writing(self.engine) as connection:
            if connection.execute(count).scalar_one() >= MOST_OF_AN_ATTEMPT:
                return False
            made = insert_new(connection, checkpoints).values(row).on_conflict_do_nothing()
            return connection.execute(made.returning(checkpoints.c.id)).first() is not None

    def list(self, tenant: str, job: str, *, after: int | None, limit: int) -> list[Checkpoint]:
        """At most `limit` checkpoints of the tenant's job, newest first, older than the checkpoint `after`."""
        query = select(checkpoints).where(checkpoints.c.tenant == tenant, checkpoints.c.job == job)
        if after is not None:
            query = query.where(checkpoints.c.id < after)
        with reading(self.engine, tenant=tenant) as connection:
            rows = connection.execute(query.order_by(checkpoints.c.id.desc()).limit(limit)).mappings()
            return [Checkpoint(**row) for row in rows]
