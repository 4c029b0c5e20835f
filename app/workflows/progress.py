"""How far a local workflow has come, and what a step's exit code makes of it. Pure.

Source of the rules: the exit codes of trainer/contract/steps.py, and for a search its rounds of trials
(generators/training/search.py): `search` says which trials there are, each is tried one after another, then it is asked
again; once there are none, the steps after the trials follow. A trial that fails is a result like any other.
"""

from collections.abc import Sequence
from datetime import datetime

from app.contract.wire import Wire
from app.workflows.workflow import Phase
from trainer.contract.job import TrainingJob
from trainer.contract.steps import PIPELINE, SEARCH, TRIAL, Exit, Step

MOST_RESUMES = 5  # stops in a row without a new checkpoint; more of them lead nowhere
SEARCH_PIPELINE = tuple(
    step for planned in PIPELINE for step in ((SEARCH, TRIAL) if planned.name == "train" else (planned,))
)


def pipeline_of(job: TrainingJob) -> Sequence[Step]:
    """The steps of a job; of a search those before `evaluate` are repeated."""
    return SEARCH_PIPELINE if job.search else PIPELINE


class Progress(Wire):
    """What must survive the controller: rewritten before and after every step.

    index: the current step of the pipeline. failures, resumes: of this step so far. checkpoints: those there were when
    the step was last stopped. trial: number of the current trial; trials_left: after it in its round.
    """

    phase: Phase = Phase.PENDING
    index: int = 0
    failures: int = 0
    resumes: int = 0
    checkpoints: tuple[str, ...] = ()
    trial: int | None = None
    trials_left: int = 0
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
    """How a step's process ended. round: the first trial and the number of trials that `search` asked for."""

    returncode: int  # of subprocess: a signal's number is negative
    at: datetime
    last_line: str = ""
    checkpoints: tuple[str, ...] = ()
    round: tuple[int, int] = (0, 0)

    @property
    def exit_code(self) -> int:
        return self.returncode if self.returncode >= 0 else 128 - self.returncode


def after(progress: Progress, ending: Ending, *, pipeline: Sequence[Step]) -> Progress:
    """Where the workflow stands once the current step has ended so."""
    step, code = pipeline[progress.index], ending.exit_code
    if code == Exit.DONE:
        return _next_step(progress, ending, pipeline=pipeline)
    why = ending.last_line or f"step {step.name} ended with exit code {code} and said nothing"
    if code in {Exit.STOPPED, Exit.KILLED}:
        went_on = ending.checkpoints != progress.checkpoints
        resumes = 1 if went_on else progress.resumes + 1
        if resumes > MOST_RESUMES:
            text = f"step {step.name} was stopped {resumes} times without a new checkpoint; {why}"
            return progress.failed(text, at=ending.at, exit_code=code)
        return progress.model_copy(update={"resumes": resumes, "checkpoints": ending.checkpoints})
    if code == Exit.BAD_INPUT or progress.failures >= step.retries:
        if step == TRIAL:
            return _next_step(progress, ending, pipeline=pipeline)
        return progress.failed(why, at=ending.at, exit_code=code)
    return progress.model_copy(update={"failures": progress.failures + 1})


def _next_step(progress: Progress, ending: Ending, *, pipeline: Sequence[Step]) -> Progress:
    """What follows a step that is done, or a trial that is over."""
    step, index = pipeline[progress.index], progress.index + 1
    fresh = {"failures": 0, "resumes": 0, "checkpoints": (), "trial": None, "trials_left": 0}
    if step == SEARCH:
        first, trials = ending.round
        if trials:
            return progress.model_copy(update={**fresh, "index": index, "trial": first, "trials_left": trials - 1})
        index += 1  # past the trials
    elif step == TRIAL:
        if progress.trials_left:
            following = {"trial": (progress.trial or 0) + 1, "trials_left": progress.trials_left - 1}
            return progress.model_copy(update={**fresh, **following})
        index = progress.index - 1  # `search` is asked for the next round
    if index == len(pipeline):
        return progress.model_copy(update={"phase": Phase.SUCCEEDED, "finished_at": ending.at, "exit_code": 0})
    return progress.model_copy(update={**fresh, "index": index})
