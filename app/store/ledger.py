"""What each attempt has used and cost. Written while it runs and once more, for good, at its end."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine, Select, func, select

from app.contract.cost import Cost
from app.store.attempts import Attempt
from app.store.changes import now
from app.store.dialects import insert_new
from app.store.engine import reading, writing
from app.store.tables import ledger
from trainer.contract.report import Usage


@dataclass(frozen=True)
class Entry:
    """One attempt. `month`: YYYY-MM of its end in UTC, of the last report while it runs."""

    job: str
    attempt: int
    tenant: str
    month: str
    usage: Usage
    waited_seconds: float
    cost: Cost
    is_final: bool
    changed_at: datetime


class Ledger:
    """The entries of all tenants."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def note(self, attempt: Attempt, *, usage: Usage, waited_seconds: float, cost: Cost, final: bool) -> None:
        """Keep what an attempt has used so far; after a final note nothing changes any more.

        To be called before `Attempts.finish`, so that who dies between the two finds the attempt and notes it again.
        """
        at = attempt.finished_at or now()
        values = {
            "month": month_of(at),
            "usage": usage.model_dump(mode="json"),
            "waited_seconds": Decimal(str(waited_seconds)),
            "amount": cost.amount,
            "currency": cost.currency,
            "final": int(final),
            "changed_at": now(),
        }
        key = {"job": attempt.job.id, "attempt": attempt.number, "tenant": attempt.job.tenant}
        with writing(self.engine) as connection:
            made = insert_new(connection, ledger).values(**key, **values)
            connection.execute(
                made.on_conflict_do_update(
                    index_elements=[ledger.c.job, ledger.c.attempt], set_=values, where=ledger.c.final == 0
                )
            )

    def spent(self, tenant: str, *, month: str) -> Decimal:
        """What the tenant's attempts of a month (YYYY-MM, UTC) have cost, running ones as far as they have reported."""
        total = _of(tenant).where(ledger.c.month == month).with_only_columns(func.sum(ledger.c.amount))
        with reading(self.engine, tenant=tenant) as connection:
            return connection.execute(total).scalar() or Decimal(0)

    def spent_this_month(self, tenant: str) -> Decimal:
        return self.spent(tenant, month=month_of(now()))

    def of_job(self, tenant: str, job: str) -> list[Entry]:
        """The entries of the tenant's job, first attempt first."""
        query = _of(tenant).where(ledger.c.job == job).order_by(ledger.c.attempt)
        with reading(self.engine, tenant=tenant) as connection:
            return [_entry(row) for row in connection.execute(query)]


def month_of(moment: datetime) -> str:
    """YYYY-MM of a moment in UTC."""
    return f"{moment:%Y-%m}"


def _of(tenant: str) -> Select[Any]:
    """The one place where a tenant's rows are told from others'."""
    return select(ledger).where(ledger.c.tenant == tenant)


def _entry(row: Any) -> Entry:
    return Entry(
        job=row.job,
        attempt=row.attempt,
        tenant=row.tenant,
        month=row.month,
        usage=Usage.model_validate(row.usage),
        waited_seconds=float(row.waited_seconds),
        cost=Cost(amount=row.amount, currency=row.currency),
        is_final=bool(row.final),
        changed_at=row.changed_at,
    )
