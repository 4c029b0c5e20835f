"""How far a local workflow has come, and what a step's exit code makes of it. Pure.

Source of the rules: the exit codes of trainer/contract/steps.py.
"""

from collections.abc import Sequence
from datetime import datetime

from app.contract.wire import Wire
from app.workflows.workflow import Phase
from trainer.contract.steps import Exit, Step

MOST_RESUMES = 5  # stops in a row without a new checkpoint; more of them lead nowhere


class Progress(Wire):
    """What must survive the controller: rewritten before and after every step.

    index: the current step of the pipeline. failures, resumes: of this step so far. checkpoints: those there were when
    the step was last stopped.
    """

    phase: Phase = Phase.PENDING
    index: int = 0
    failures: int = 0
    resumes: int = 0
    checkpoints: tuple[str, ...] = ()
    exit_code: int | None = None
    message: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    def begun(self, at: datetime) -> "Progress":
        return self.model_copy(update={"phase": Phase.RUNNING, "started_at": self.started_at or at})

    def failed(self, message: str, *, at: datetime, exit_code: int | None = None) -> "Progress":
        end = {"phase": Phase.FAILED, "message": message, "exit_code": exit_code, "finished_at": at}
        return self.model_copy(update=end)


class Ending(Wire):
    """How a step's process ended."""

    returncode: int  # of subprocess: a signal's number is negative
    at: datetime
    last_line: str = ""
    checkpoints: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        return self.returncode if self.returncode >= 0 else 128 - self.returncode


def after(progress: Progress, ending: Ending, *, pipeline: Sequence[Step]) -> Progress:
    """Where the workflow stands once the current step has ended so."""
    step, code = pipeline[progress.index], ending.exit_code
    if code == Exit.DONE:
        return _next_step(progress, ending, steps=len(pipeline))
    why = ending.last_line or f"step {step.name} ended with exit code {code} and said nothing"
    if code in {Exit.STOPPED, Exit.KILLED}:
        went_on = ending.checkpoints != progress.checkpoints
        resumes = 1 if went_on else progress.resumes + 1
        if resumes > MOST_RESUMES:
            text = f"step {step.name} was stopped {resumes} times without a new checkpoint; {why}"
            return progress.failed(text, at=ending.at, exit_code=code)
        return progress.model_copy(update={"resumes": resumes, "checkpoints": ending.checkpoints})
    if code == Exit.BAD_INPUT or progress.failures >= step.retries:
        return progress.failed(why, at=ending.at, exit_code=code)
    return progress.model_copy(update={"failures": progress.failures + 1})


def _next_step(progress: Progress, ending: Ending, *, steps: int) -> Progress:
    if progress.index + 1 == steps:
        return progress.model_copy(update={"phase": Phase.SUCCEEDED, "finished_at": ending.at, "exit_code": 0})
    fresh = {"index": progress.index + 1, "failures": 0, "resumes": 0, "checkpoints": ()}
    return progress.model_copy(update=fresh)
