"""The watcher: it alone decides how a job ended, from its workflow; progress arrives in app/reporting.py."""

from app.jobs.state import Move
from app.store.attempts import Attempt, Attempts
from app.workflows.workflow import Phase, Workflows, WorkflowStatus


class Watcher:
    """Compares the live attempts with their workflows."""

    def __init__(self, *, attempts: Attempts, workflows: Workflows) -> None:
        self.attempts = attempts
        self.workflows = workflows

    def round(self) -> None:
        """One look at every live attempt. Raises StoreUnavailable, WorkflowsUnavailable; the next round goes on."""
        for attempt in self.attempts.unfinished():
            status = self.workflows.get(attempt.workflow)
            if status is None:
                gone = f"workflow {attempt.workflow} is gone; submit the job again"
                self.attempts.finish(attempt, Move.FAIL, error=gone)
            elif status.phase.is_final:
                self._finish(attempt, status)
            else:
                self._follow(attempt, status)

    def _finish(self, attempt: Attempt, status: WorkflowStatus) -> None:
        if status.phase is Phase.SUCCEEDED:
            self.attempts.finish(attempt, Move.SUCCEED)
        else:
            self.attempts.finish(attempt, Move.FAIL, error=status.message or f"workflow {status.name} failed")

    def _follow(self, attempt: Attempt, status: WorkflowStatus) -> None:
        if attempt.job.state.is_final:  # cancelled by its caller
            self.workflows.stop(attempt.workflow)
        elif status.step is not None and status.step != attempt.step:
            self.attempts.note_step(attempt, status.step)
