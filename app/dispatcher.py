"""The dispatcher: drains the broker into the store, chooses fairly, and makes one workflow per attempt.

Every effect may be repeated: a message twice is one row, an attempt twice is one workflow, because names are
deterministic. So it may be killed between any two effects, and goes on from what the store says.
"""

import logging
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from opentelemetry.trace import SpanKind

from app.broker.consuming import drain
from app.broker.envelope import PoisonError, Reason, received
from app.broker.queue import Message, Subscriber
from app.contract.directory import TenantEntry
from app.contract.internal import JOBS_TOPIC
from app.contract.job import JobState
from app.directory import Directory
from app.jobs.plan import parameters
from app.jobs.scheduling import next_jobs
from app.jobs.state import Move
from app.store.attempts import Attempt, Attempts
from app.store.jobs import Jobs
from app.store.ledger import Ledger
from app.telemetry import Tracing
from app.workflows.workflow import AlreadyExists, WorkflowRefusedError, Workflows, WorkflowsUnavailable

TENANT_REMOVED = "tenant_removed"
REMOVED = "the tenant is no longer in the tenant directory"
PATIENCE = timedelta(minutes=2)  # with a refusal that may pass: a new tenant's rights are synced in their own time
ASK_AGAIN_SECONDS = 5.0  # after such a refusal
BATCH = 100  # workflows that are noted as made in one transaction

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stores:
    """The rows that the dispatcher reads and writes."""

    jobs: Jobs
    attempts: Attempts
    ledger: Ledger


class Dispatcher:
    """Its collaborators are given once, in wiring.py.

    at_once: workflows that are made at a time, where each costs a journey to a server.
    """

    def __init__(
        self,
        *,
        subscriber: Subscriber,
        stores: Stores,
        directory: Directory,
        workflows: Workflows,
        tracing: Tracing,
        at_once: int = 1,
    ) -> None:
        self.subscriber = subscriber
        self.jobs, self.attempts, self.ledger = stores.jobs, stores.attempts, stores.ledger
        self.directory = directory
        self.workflows = workflows
        self.tracing = tracing
        self.at_once = at_once
        self.clock: Callable[[], float] = time.monotonic
        self._not_before: dict[str, float] = {}  # workflow -> when it is asked for again

    def round(self) -> None:
        """One look at everything.

        Raises BrokerUnavailable, StoreUnavailable, WorkflowsUnavailable; the next round goes on.
        """
        while drain(self.subscriber, self._accept):
            pass  # the broker is emptied first: fairness is decided over all jobs there are
        self._begin_attempts()
        self._make_workflows()

    def _accept(self, message: Message) -> None:
        found = received(message.headers, message.value)
        envelope = found.envelope
        tenant = self.directory.tenant(envelope.tenant)
        if tenant is None:
            text = f"tenant {envelope.tenant!r}: not in the tenant directory"
            raise PoisonError(Reason.UNKNOWN_TENANT, text)
        about = {"messaging.message.id": message.id, "tenon.job": envelope.id, "tenon.tenant": envelope.tenant}
        with self.tracing.span(f"process {JOBS_TOPIC}", found.traceparent, kind=SpanKind.CONSUMER, **about) as span:
            most = most_queued(tenant.limits.queued_jobs)
            self.jobs.insert_or_ignore(envelope, traceparent=span.traceparent, most_queued=most)

    def _begin_attempts(self) -> None:
        live = self.attempts.live()
        room = self.workflows.capacity - sum(live.values())
        if room <= 0 or not (waiting := self.attempts.waiting(each=room)):
            return
        tenants = {tenant.id: tenant for tenant in self.directory.tenants()}
        for removed in {job.tenant: job for job in waiting if job.tenant not in tenants}.values():
            self.attempts.begin(removed.id, cap=1)  # so that it ends, in words
        chosen = next_jobs(
            waiting,
            rooms={tenant.id: cap_of(tenant) - live.get(tenant.id, 0) for tenant in tenants.values()},
            room=room,
            served_last=self.attempts.served_last(),
            weights={tenant.id: tenant.limits.weight for tenant in tenants.values()},
            stopped=self._spent({job.tenant for job in waiting}),
        )
        for job in chosen:
            tenant = tenants[job.tenant]
            self.attempts.begin(job.id, cap=cap_of(tenant), slots=tenant.slots)

    def _spent(self, waiting: Iterable[str]) -> set[str]:
        """The tenants among these that have spent their budget of this month, and mean it to stop them."""
        entries = [entry for tenant in waiting if (entry := self.directory.tenant(tenant))]
        return {
            entry.id for entry in entries if entry.budget and entry.budget.stops(self.ledger.spent_this_month(entry.id))
        }

    def _make_workflows(self) -> None:
        """A workflow for every attempt that is not known to have one; what one of them lacks holds up no other."""
        now = self.clock()
        found = self.attempts.unconfirmed()
        self._not_before = {each.workflow: at for each in found if (at := self._not_before.get(each.workflow, 0)) > now}
        due = [attempt for attempt in found if attempt.workflow not in self._not_before]
        for batch in (due[first : first + BATCH] for first in range(0, len(due), BATCH)):
            self._make_batch(batch)

    def _make_batch(self, batch: list[Attempt]) -> None:
        made: list[Attempt] = []
        outage: WorkflowsUnavailable | None = None
        with closing(self._created(batch)) as created:
            for attempt, fault in created:
                if fault is None:
                    made.append(attempt)
                elif isinstance(fault, WorkflowRefusedError):
                    self._refuse(attempt, fault)
                else:
                    outage = fault
                    break  # the others would wait for the same
        for ended in self.attempts.confirm(made):  # in this moment, by the hand of another dispatcher
            self.workflows.stop(ended.workflow)
        if outage is not None:
            raise outage

    def _created(
        self, attempts: list[Attempt]
    ) -> Generator[tuple[Attempt, WorkflowRefusedError | WorkflowsUnavailable | None], None, None]:
        """Each attempt with what kept its workflow from being made, in order."""
        if self.at_once == 1 or len(attempts) <= 1:
            yield from zip(attempts, map(self._create, attempts), strict=True)
            return
        pool = ThreadPoolExecutor(self.at_once, thread_name_prefix="create")
        try:
            yield from zip(attempts, pool.map(self._create, attempts), strict=True)
        finally:
            pool.shutdown(cancel_futures=True)

    def _create(self, attempt: Attempt) -> WorkflowRefusedError | WorkflowsUnavailable | None:
        """Make the workflow.

        Also that of a job which was cancelled or paused meanwhile: only a name that is taken keeps another dispatcher,
        that read the job before, from making it later. It is stopped at once.
        """
        tenant = self.directory.tenant(attempt.job.tenant)
        if tenant is None:
            return WorkflowRefusedError(TENANT_REMOVED, REMOVED)
        about = {"tenon.job": attempt.job.id, "tenon.workflow": attempt.workflow}
        try:
            with self.tracing.span("create workflow", attempt.job.traceparent, kind=SpanKind.INTERNAL, **about) as span:
                values = parameters(attempt, traceparent=span.traceparent)
                try:
                    self.workflows.create(attempt.workflow, tenant=tenant, parameters=values)
                except AlreadyExists:
                    log.info("%s: was made before; going on", attempt.workflow)
        except (WorkflowRefusedError, WorkflowsUnavailable) as fault:
            return fault
        if attempt.job.state not in {JobState.QUEUED, JobState.RUNNING}:
            with suppress(WorkflowRefusedError, WorkflowsUnavailable):  # the watcher asks again and again
                self.workflows.stop(attempt.workflow)
        return None

    def _refuse(self, attempt: Attempt, refused: WorkflowRefusedError) -> None:
        """End the attempt in words, or wait while the refusal may pass."""
        if refused.is_final or datetime.now(UTC) - attempt.created_at > PATIENCE:
            self.attempts.finish(attempt, Move.FAIL, error=str(refused), code=refused.code)
            return
        log.warning("%s; asking again in %.0f s", refused, ASK_AGAIN_SECONDS)
        self._not_before[attempt.workflow] = self.clock() + ASK_AGAIN_SECONDS


def cap_of(tenant: TenantEntry) -> int:
    """Attempts of the tenant that may be live at once; with isolation `hard` each needs a slot of its own."""
    running = tenant.limits.running_jobs
    return running if tenant.slots is None else min(running, tenant.slots)


def most_queued(limit: int) -> int:
    """What the store takes of a tenant before a job fails of its quota.

    A tenth and ten more than the API takes: it counts before it publishes, so requests at one moment may pass together.
    What comes to the broker by another way has no more than that either.
    """
    return limit + limit // 10 + 10
