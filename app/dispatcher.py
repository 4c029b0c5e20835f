"""The dispatcher: drains the broker into the store, chooses fairly, and makes one workflow per attempt.

Every effect may be repeated: a message twice is one row, an attempt twice is one workflow, because names are
deterministic. So it may be killed between any two effects, and goes on from what the store says.
"""

import logging

from opentelemetry.trace import SpanKind

from app.broker.consuming import drain
from app.broker.envelope import PoisonError, received
from app.broker.queue import Message, Subscriber
from app.contract.internal import JOBS_TOPIC
from app.directory import Directory
from app.jobs.plan import parameters
from app.jobs.scheduling import next_jobs
from app.jobs.state import Move
from app.store.attempts import Attempt, Attempts
from app.store.jobs import Jobs
from app.telemetry import Tracing
from app.workflows.workflow import AlreadyExists, Workflows

log = logging.getLogger(__name__)


class Dispatcher:
    """Its collaborators are given once, in wiring.py."""

    def __init__(
        self,
        *,
        subscriber: Subscriber,
        jobs: Jobs,
        attempts: Attempts,
        directory: Directory,
        workflows: Workflows,
        tracing: Tracing,
    ) -> None:
        self.subscriber = subscriber
        self.jobs = jobs
        self.attempts = attempts
        self.directory = directory
        self.workflows = workflows
        self.tracing = tracing

    def round(self) -> None:
        """One look at everything.

        Raises BrokerUnavailable, StoreUnavailable, WorkflowsUnavailable; the next round goes on.
        """
        while drain(self.subscriber, self._accept):
            pass  # the broker is emptied first: fairness is decided over all jobs there are
        self._begin_attempts()
        for attempt in self.attempts.unconfirmed():
            self._make_workflow(attempt)

    def _accept(self, message: Message) -> None:
        found = received(message.headers, message.value)
        envelope = found.envelope
        if self.directory.tenant(envelope.tenant) is None:
            raise PoisonError(f"tenant {envelope.tenant!r}: not in the tenant directory")
        about = {"messaging.message.id": str(message.id), "tenon.job": envelope.id, "tenon.tenant": envelope.tenant}
        with self.tracing.span(f"process {JOBS_TOPIC}", found.traceparent, kind=SpanKind.CONSUMER, **about) as span:
            self.jobs.insert_or_ignore(envelope, traceparent=span.traceparent)

    def _begin_attempts(self) -> None:
        live = self.attempts.live()
        room = self.workflows.capacity - sum(live.values())
        if room <= 0:
            return
        caps = {tenant.id: tenant.limits.running_jobs for tenant in self.directory.tenants()}
        rooms = {tenant: cap - live.get(tenant, 0) for tenant, cap in caps.items()}
        waiting = self.attempts.waiting(each=room)
        for job in next_jobs(waiting, rooms=rooms, room=room, served_last=self.attempts.served_last()):
            self.attempts.begin(job.id, cap=caps[job.tenant])

    def _make_workflow(self, attempt: Attempt) -> None:
        tenant = self.directory.tenant(attempt.job.tenant)
        if tenant is None:
            self.attempts.finish(attempt, Move.FAIL, error="the tenant is no longer in the tenant directory")
            return
        if attempt.job.state.is_final and self.workflows.get(attempt.workflow) is None:
            self.attempts.drop(attempt)
            return
        about = {"tenon.job": attempt.job.id, "tenon.workflow": attempt.workflow}
        with self.tracing.span("create workflow", attempt.job.traceparent, kind=SpanKind.INTERNAL, **about) as span:
            values = parameters(attempt.job.envelope, attempt=attempt.number, traceparent=span.traceparent)
            try:
                self.workflows.create(attempt.workflow, tenant=tenant, parameters=values)
            except AlreadyExists:
                log.info("%s: was made before; going on", attempt.workflow)
        if not self.attempts.confirm(attempt):  # cancelled, and given up by another dispatcher, in this moment
            self.workflows.stop(attempt.workflow)
