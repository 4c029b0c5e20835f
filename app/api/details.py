"""What the answer about one job holds beside its row: why it waits and how long about, and what it has cost."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from app.api.job_object import Details
from app.api.shapes import Money, Queue
from app.contract.directory import TenantEntry
from app.contract.job import JobState
from app.directory import Directory
from app.jobs import waiting
from app.store.jobs import Job, Jobs
from app.store.ledger import Entry, Ledger


class DetailsReader:
    """Reads the store; for one job at a time."""

    def __init__(self, *, jobs: Jobs, ledger: Ledger, directory: Directory) -> None:
        self._jobs = jobs
        self._ledger = ledger
        self._directory = directory

    def of(self, job: Job) -> Details:
        tenant = self._directory.tenant(job.tenant)
        queue = self._queue(job, tenant) if tenant and job.state is JobState.QUEUED else None
        cost = total(self._ledger.of_job(job.tenant, job.id)) if job.attempt else None
        return Details(queue, cost)

    def _queue(self, job: Job, tenant: TenantEntry) -> Queue:
        place = waiting.Queue(
            position=self._jobs.position(tenant.id, job.id),
            running=self._jobs.running(tenant.id),
            most_running=tenant.limits.running_jobs,
            budget_spent=self._is_spent(tenant),
        )
        wait = waiting.why(place)
        typical = self._jobs.typical_seconds(tenant.id)
        seconds = waiting.seconds_until_begun(place, typical_seconds=typical)
        begins = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
        return {
            "position": wait.position,
            "reason": wait.reason,
            "message": wait.text,
            "estimatedStart": int(begins.timestamp()) if begins else None,
        }

    def _is_spent(self, tenant: TenantEntry) -> bool:
        return tenant.budget is not None and tenant.budget.stops(self._ledger.spent_this_month(tenant.id))


def total(entries: Sequence[Entry]) -> Money | None:
    """Over all attempts, running ones as far as they have reported."""
    if not entries:
        return None
    amount = sum((entry.cost.amount for entry in entries), Decimal(0))
    return {"amount": f"{amount:.4f}", "currency": entries[-1].cost.currency}
