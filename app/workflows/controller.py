"""The local workflow controller: LocalWorkflows' counterpart of Argo. One thread, at most `slots` attempts at once.

What it must not forget is in the folder before it acts; killed at any moment, its successor goes on at the same step.
"""

import contextvars
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from opentelemetry.trace import SpanKind

from app.contract.internal import TRACEPARENT_PARAMETER
from app.telemetry import Span, Tracing
from app.workflows.folder import LocalWorkflow, WorkflowsFolder
from app.workflows.progress import Ending, Progress, after, pipeline_of
from app.workflows.step import Command, CredentialsError, Lock, Site, StepProcess, environment, interpreter
from app.workflows.workflow import Phase, WorkflowsUnavailable
from trainer.contract.steps import TRIAL_NUMBER, Exit, Step

STOP_SECONDS = 15.0  # a step that was asked to stop has this long to save a checkpoint
RETRY_SECONDS = 1.0  # doubled with each failure
DEADLINE_SECONDS = 7 * 24 * 3600.0  # of an attempt, as the rendered templates have it

log = logging.getLogger(__name__)


@dataclass
class Running:
    """An attempt that holds a slot, between or in its steps."""

    workflow: LocalWorkflow
    folder: Path
    lock: Lock
    progress: Progress
    process: StepProcess | None = None
    span: "StepSpan | None" = None
    not_before: float = 0.0  # monotonic; a failed step is not started again at once
    kill_at: float | None = None  # monotonic; set when the step was asked to stop


class StepSpan:
    """The span of a step. Slots overlap, so each has a context of its own."""

    def __init__(self, tracing: Tracing, step: Step, *, workflow: LocalWorkflow) -> None:
        self._context = contextvars.copy_context()
        self._stack = ExitStack()
        about = {"tenon.workflow": workflow.name, "tenon.tenant": workflow.tenant}
        parent = workflow.parameters[TRACEPARENT_PARAMETER]
        made = tracing.span(f"step {step.name}", parent, kind=SpanKind.INTERNAL, **about)
        self.span: Span = self._context.run(self._stack.enter_context, made)

    def end(self, exit_code: int | None) -> None:
        if exit_code is not None:
            self.span.put(**{"tenon.exit_code": exit_code})
        self._context.run(self._stack.close)


@dataclass
class Controller:
    """Give it `round()` again and again, and `shut_down()` in the end.

    pipeline, command: what runs; other steps than the job's, and other programs than the trainer, in tests.
    """

    folder: WorkflowsFolder
    site: Site
    tracing: Tracing
    slots: int = 1
    pipeline: Sequence[Step] | None = None
    command: Command = interpreter
    retry_seconds: float = RETRY_SECONDS
    deadline_seconds: float = DEADLINE_SECONDS
    clock: Callable[[], float] = time.monotonic
    running: dict[str, Running] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)

    def round(self) -> None:
        """See to every running attempt and fill free slots. Raises WorkflowsUnavailable; the next round goes on."""
        for attempt in list(self.running.values()):
            self._tend(attempt)
        if len(self.running) < self.slots:
            self._fill()

    def shut_down(self) -> None:
        """Ask all steps to stop, wait for them, and leave their workflows Running: the next controller resumes them."""
        busy = [attempt for attempt in self.running.values() if attempt.process]
        for attempt in busy:
            attempt.process.terminate() if attempt.process else None
        deadline = self.clock() + STOP_SECONDS
        for attempt in busy:
            assert attempt.process is not None  # noqa: S101 - busy says so
            if not attempt.process.wait(max(0.0, deadline - self.clock())):
                attempt.process.kill()
                attempt.process.wait(STOP_SECONDS)
            ending = attempt.process.ending()
            if ending and ending.exit_code == Exit.DONE:  # it was done before it was asked
                self._settle(attempt, ending)
            elif attempt.span:
                attempt.span.end(ending.exit_code if ending else None)
        for attempt in list(self.running.values()):
            self._release(attempt)

    def _fill(self) -> None:
        for workflow, progress in self._unfinished():
            if len(self.running) >= self.slots:
                return
            folder = self.folder.attempt_folder(workflow)
            lock = Lock(folder)
            if not lock.taken():
                log.warning("%s: a step of an earlier controller still runs; waiting for it", workflow.name)
                continue
            attempt = Running(workflow, folder, lock, progress)
            self.running[workflow.name] = attempt
            self._tend(attempt)

    def _unfinished(self) -> list[tuple[LocalWorkflow, Progress]]:
        """Begun ones first, then by age."""
        found = []
        for name in set(self.folder.names()) - self.ended - self.running.keys():
            if (workflow := self.folder.workflow(name)) is None:
                continue  # being made
            progress = self.folder.progress(name)
            if progress.phase.is_final:
                self.ended.add(name)
            else:
                found.append((workflow, progress))
        return sorted(found, key=lambda pair: (pair[1].phase is Phase.PENDING, pair[0].created_at, pair[0].name))

    def _tend(self, attempt: Running) -> None:
        """Bring one attempt as far as it goes without waiting."""
        why = self._why_to_stop(attempt)
        if attempt.process is None:
            if why:
                self._advance(attempt, attempt.progress.failed(why, at=datetime.now(UTC)))
            elif self.clock() >= attempt.not_before:
                self._start(attempt)
        elif ending := attempt.process.ending():
            self._settle(attempt, ending, stopped=why)
        elif why:
            self._stop(attempt, attempt.process)

    def _why_to_stop(self, attempt: Running) -> str:
        """Words for what the attempt has to end for; none while it may run."""
        if self.folder.is_to_stop(attempt.workflow.name):
            return "stopped on request"
        begun = attempt.progress.started_at
        late = begun is not None and (datetime.now(UTC) - begun).total_seconds() > self.deadline_seconds
        return f"attempt exceeded its deadline of {self.deadline_seconds:.0f} s" if late else ""

    def _steps(self, attempt: Running) -> Sequence[Step]:
        """Raises ValueError where the parameters are no job."""
        return self.pipeline or pipeline_of(attempt.workflow.job)

    def _start(self, attempt: Running) -> None:
        begun = attempt.progress.begun(datetime.now(UTC))
        try:
            step = self._steps(attempt)[attempt.progress.index]
        except ValueError as error:
            self._advance(attempt, begun.failed(str(error), at=datetime.now(UTC), exit_code=Exit.BAD_INPUT))
            return
        self.folder.keep(attempt.workflow.name, begun)
        attempt.progress = begun
        self.folder.token_file(attempt.workflow)
        span = StepSpan(self.tracing, step, workflow=attempt.workflow)
        try:
            known = environment(attempt.workflow, self.site, folder=attempt.folder, traceparent=span.span.traceparent)
            if attempt.progress.trial is not None:
                known[TRIAL_NUMBER] = str(attempt.progress.trial)
            attempt.process = StepProcess(self.command(step), known, folder=attempt.folder, lock=attempt.lock)
        except CredentialsError as error:
            span.end(Exit.BAD_INPUT)
            self._advance(attempt, begun.failed(str(error), at=datetime.now(UTC), exit_code=Exit.BAD_INPUT))
            return
        except OSError as error:
            span.end(None)
            raise WorkflowsUnavailable(f"step {step.name} cannot be started: {error}; it is tried again") from error
        attempt.span = span
        log.info("%s: step %s begun", attempt.workflow.name, step.name)

    def _stop(self, attempt: Running, process: StepProcess) -> None:
        if attempt.kill_at is None:
            process.terminate()
            attempt.kill_at = self.clock() + STOP_SECONDS
        elif self.clock() >= attempt.kill_at:
            process.kill()

    def _settle(self, attempt: Running, ending: Ending, *, stopped: str = "") -> None:
        step = self._steps(attempt)[attempt.progress.index]
        progress = after(attempt.progress, ending, pipeline=self._steps(attempt))
        if stopped and progress.phase is not Phase.SUCCEEDED:
            progress = attempt.progress.failed(stopped, at=ending.at, exit_code=ending.exit_code)
        log.info("%s: step %s ended with %d", attempt.workflow.name, step.name, ending.exit_code)
        self._advance(attempt, progress)
        if attempt.span:
            attempt.span.end(ending.exit_code)
        failed_again = progress.failures > 0
        attempt.process, attempt.span = None, None
        attempt.not_before = self.clock() + self.retry_seconds * 2 ** (progress.failures - 1) if failed_again else 0.0

    def _advance(self, attempt: Running, progress: Progress) -> None:
        """On the disk first; when that fails, the next round finds the attempt as it was."""
        self.folder.keep(attempt.workflow.name, progress)
        attempt.progress = progress
        if progress.phase.is_final:
            self._release(attempt)
            self.ended.add(attempt.workflow.name)

    def _release(self, attempt: Running) -> None:
        attempt.lock.close()
        del self.running[attempt.workflow.name]
