"""What attempts use and cost: kept while they report it, and for good at their end."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from app.contract.cost import Prices, cost_of
from app.directory import Directory
from app.store.attempts import Attempt
from app.store.ledger import Ledger
from trainer.contract.report import Usage

CPU_SECONDS, GPU_SECONDS = "cpuSeconds", "gpuSeconds"  # metrics of reports: of the whole attempt up to now


class Accounting:
    """Writes the ledger, at the prices of the tenant directory."""

    def __init__(self, *, ledger: Ledger, directory: Directory) -> None:
        self._ledger = ledger
        self._directory = directory

    def reported(self, attempt: Attempt, numbers: Mapping[str, str | float]) -> None:
        """A step told what the attempt has used so far. Raises StoreUnavailable."""
        cpu, gpu = _seconds(numbers.get(CPU_SECONDS)), _seconds(numbers.get(GPU_SECONDS))
        if cpu is not None or gpu is not None:
            before = self._used(attempt)
            # each step counts on from those before it, so a smaller figure is an older report
            usage = Usage(
                cpu_seconds=max(cpu or 0.0, before.cpu_seconds), gpu_seconds=max(gpu or 0.0, before.gpu_seconds)
            )
            self._note(attempt, usage, final=False)

    def ended(self, attempt: Attempt) -> None:
        """The attempt is over, whatever came of it: its last report is its cost. Raises StoreUnavailable."""
        self._note(attempt, self._used(attempt), final=True)

    def _used(self, attempt: Attempt) -> Usage:
        entries = self._ledger.of_job(attempt.job.tenant, attempt.job.id)
        return next((entry.usage for entry in entries if entry.attempt == attempt.number), Usage())

    def _note(self, attempt: Attempt, usage: Usage, *, final: bool) -> None:
        cost = cost_of(usage, self._prices(attempt.job.tenant))
        admitted = attempt.admitted_at or attempt.finished_at or datetime.now(UTC)
        waited = max(0.0, (admitted - attempt.created_at).total_seconds())
        self._ledger.note(attempt, usage=usage, waited_seconds=waited, cost=cost, final=final)

    def _prices(self, tenant: str) -> Prices:
        """GPUs cost what the tenant's flavor does; of a removed tenant the GPU hours cost nothing any more."""
        prices, entry = self._directory.platform.prices, self._directory.tenant(tenant)
        return prices.model_copy(update={"gpu_hour": entry.gpu_hour_price}) if entry else prices


def _seconds(value: str | float | None) -> float | None:
    """A figure that can be one: finite and not below 0."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) and value >= 0 else None
