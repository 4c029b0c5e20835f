"""What the answer about one job holds beside its row: why it waits and how long about, and what it has cost."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import median

from app.api.job_object import Details
from app.api.shapes import Money, Queue
from app.contract.directory import TenantEntry
from app.contract.job import JobState
from app.directory import Directory
from app.jobs import waiting
from app.store.jobs import Job, Jobs
from app.store.ledger import Entry, Ledger

_LOOKED_BACK = 20  # jobs whose time is taken for typical


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
        counts = self._jobs.counts(tenant.id)
        place = waiting.Queue(
            position=self._jobs.position(tenant.id, job.id),
            running=counts[JobState.RUNNING] + counts[JobState.PAUSING],
            most_running=tenant.limits.running_jobs,
            budget_spent=self._is_spent(tenant),
        )
        wait = waiting.why(place)
        typical = typical_seconds(self._jobs.list(tenant.id, after=None, limit=_LOOKED_BACK))
        seconds = waiting.seconds_until_begun(place, typical_seconds=typical)
        begins = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
        return {
            "position": wait.position,
            "reason": wait.reason,
            "message": wait.text,
            "estimatedStart": int(begins.timestamp()) if begins else None,
        }

    def _is_spent(self, tenant: TenantEntry) -> bool:
        if tenant.budget is None or not tenant.budget.hard_stop:
            return False
        return self._ledger.spent(tenant.id, month=f"{datetime.now(UTC):%Y-%m}") >= tenant.budget.monthly


def typical_seconds(jobs: Sequence[Job]) -> float | None:
    """How long jobs that succeeded ran, most often; None where none has."""
    times = [
        (job.finished_at - job.started_at).total_seconds()
        for job in jobs
        if job.state is JobState.SUCCEEDED and job.started_at and job.finished_at
    ]
    return median(times) if times else None


def total(entries: Sequence[Entry]) -> Money | None:
    """Over all attempts, running ones as far as they have reported."""
    if not entries:
        return None
    amount = sum((entry.cost.amount for entry in entries), Decimal(0))
    return {"amount": f"{amount:.4f}", "currency": entries[-1].cost.currency}
