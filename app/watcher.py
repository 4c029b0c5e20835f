"""The watcher: it alone decides how a job ended, from its workflow; progress arrives in app/reporting.py.

Several of them may run at once: what each does is guarded by the store, and doing it twice changes nothing.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from app.accounting import Accounting
from app.contract.job import JobState
from app.jobs.causes import Cause, Failure, failure
from app.jobs.state import Move
from app.store.attempts import Attempt, Attempts
from app.store.engine import StoreUnavailable
from app.workflows.workflow import Phase, Workflows, WorkflowStatus, WorkflowsUnavailable

ASK_AGAIN_SECONDS = 30.0  # a workflow that was asked to stop and still runs

MOST_UNREACHED = 3  # workflows in a round, each of which may take a request's whole time-out

log = logging.getLogger(__name__)


class Causes(Protocol):
    """Who has seen the pods of a workflow while they were there."""

    def of(self, workflow: str) -> Failure | None:
        """Why the last of its pods or sets of pods failed; None when nothing was seen."""


class Watcher:
    """Compares the live attempts with their workflows. causes: where there are pods to look at."""

    def __init__(
        self,
        *,
        attempts: Attempts,
        workflows: Workflows,
        accounting: Accounting,
        causes: Causes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.attempts = attempts
        self.workflows = workflows
        self.accounting = accounting
        self.causes = causes
        self.clock = clock
        self._asked: dict[str, float] = {}  # workflow -> when it was asked to stop

    def round(self) -> None:
        """One look at every live attempt. Raises StoreUnavailable, WorkflowsUnavailable; the next round goes on.

        A fault with one attempt holds up no other: what cannot be judged is logged, and a workflow that cannot be
        reached is left for the next round, which ends early only where several cannot.
        """
        live, unreached = self.attempts.unfinished(), list[WorkflowsUnavailable]()
        for attempt in live:
            try:
                self._see(attempt)
            except StoreUnavailable:
                raise
            except WorkflowsUnavailable as error:
                unreached.append(error)
                if len(unreached) == MOST_UNREACHED:
                    break
            except Exception:
                log.exception("%s: cannot be judged", attempt.workflow, extra={"job": attempt.job.id})
        if unreached:
            raise unreached[0]
        self._asked = {name: at for name, at in self._asked.items() if name in {each.workflow for each in live}}

    def _see(self, attempt: Attempt) -> None:
        status = self.workflows.get(attempt.workflow)
        if status is None:
            self._end(attempt, Failure(Cause.GONE), step=attempt.step)
            return
        if status.admitted_at is not None and attempt.admitted_at is None:
            self.attempts.note_admission(attempt, status.admitted_at)
            attempt = replace(attempt, admitted_at=status.admitted_at)
        if status.phase is Phase.SUCCEEDED:
            self._finish(attempt, Move.SUCCEED)
        elif status.phase.is_final:
            self._end(attempt, self._failure(attempt, status), step=status.step)
        elif attempt.job.state.is_final or attempt.job.state is JobState.PAUSING:
            self._stop(attempt)
        elif status.step is not None and status.step != attempt.step:
            self.attempts.note_step(attempt, status.step)

    def _stop(self, attempt: Attempt) -> None:
        """Its caller cancelled it or wants it to pause; steps are given time to save a checkpoint."""
        asked, now = self._asked.get(attempt.workflow), self.clock()
        if asked is None or now - asked >= ASK_AGAIN_SECONDS:
            self.workflows.stop(attempt.workflow)
            self._asked[attempt.workflow] = now

    def _failure(self, attempt: Attempt, status: WorkflowStatus) -> Failure:
        """What the workflow tells; where that is only that a step failed, what its pods told."""
        told = failure(status.message, exit_code=status.exit_code, cause=status.cause)
        seen = self.causes.of(attempt.workflow) if self.causes is not None else None
        return seen if seen is not None and told.cause is Cause.STEP else told

    def _end(self, attempt: Attempt, found: Failure, *, step: str | None) -> None:
        """A workflow that did not succeed: an end of its job, or the rest that the job was asked to take.

        Asked now, because it may have been asked to pause since this round began; input that is refused is an end
        whatever was asked.
        """
        now = self.attempts.find(attempt.job.id, attempt.number)
        if now is not None and now.job.state is JobState.PAUSING and found.cause is not Cause.BAD_INPUT:
            self._finish(now, Move.REST)
        else:
            self._finish(now or attempt, Move.FAIL, error=found.text(step=step), code=found.cause)

    def _finish(self, attempt: Attempt, move: Move, *, error: str | None = None, code: str | None = None) -> None:
        """The ledger first: who dies between the two finds the attempt again."""
        self.accounting.ended(attempt)
        if self.attempts.finish(attempt, move, error=error, code=code):
            log.info("%s: %s%s", attempt.workflow, move, f" ({code})" if code else "", extra={"job": attempt.job.id})
