"""What the store holds, in numbers: for the metrics. Over all tenants; no caller ever gets at these methods."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Engine, func, select

from app.contract.job import JobState
from app.metrics import Metrics
from app.store.engine import reading
from app.store.tables import jobs, ledger

SECONDS_BETWEEN = 15.0  # half of what Prometheus waits between two scrapes


class Figures:
    """Tells the metrics of a process what there is."""

    def __init__(
        self,
        engine: Engine,
        metrics: Metrics,
        *,
        set_aside: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """set_aside: how many messages wait for an operator."""
        self._engine = engine
        self._set_aside = set_aside
        self._metrics = metrics
        self._clock = clock
        self._not_before = clock()

    def round(self) -> None:
        """Look again where the last look is old. Raises StoreUnavailable."""
        if self._clock() >= self._not_before:
            self._not_before = self._clock() + SECONDS_BETWEEN
            self._metrics.jobs(self._jobs(), self._waited_seconds())
            self._metrics.cost(self._cost())
            self._metrics.dead_letters(self._set_aside())

    def _jobs(self) -> dict[tuple[str, str], int]:
        lasting = [state for state in JobState if not state.is_final]
        query = select(jobs.c.tenant, jobs.c.state, func.count().label("jobs")).where(jobs.c.state.in_(lasting))
        with reading(self._engine) as connection:
            rows = connection.execute(query.group_by(jobs.c.tenant, jobs.c.state))
            return {(row.tenant, row.state): row.jobs for row in rows}

    def _waited_seconds(self) -> dict[str, float]:
        """Of each tenant's oldest queued job."""
        query = select(jobs.c.tenant, jobs.c.created_at).where(jobs.c.state == JobState.QUEUED)
        oldest = query.with_only_columns(jobs.c.tenant, func.min(jobs.c.created_at).label("since"))
        with reading(self._engine) as connection:
            rows = connection.execute(oldest.group_by(jobs.c.tenant)).all()
        now = datetime.now(UTC)
        return {row.tenant: max(0.0, (now - row.since).total_seconds()) for row in rows}

    def _cost(self) -> dict[tuple[str, ...], float]:
        query = select(ledger.c.tenant, ledger.c.currency, func.sum(ledger.c.amount).label("amount"))
        with reading(self._engine) as connection:
            rows = connection.execute(query.group_by(ledger.c.tenant, ledger.c.currency))
            return {(row.tenant, row.currency): float(row.amount) for row in rows}
