"""Steps in processes of their own that die at a chosen moment. Imported by a fork server once, so each is cheap.

A moment is the nth line of the trainer's own code that a process runs in a room, or the nth call of a function; it is
found by tracing, so the code has no seam for it, and the same number is the same moment again.
"""

import json
import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

import boto3  # noqa: F401 - loaded before the fork, as the next three
import peft.tuners.lora  # noqa: F401
import torch
import transformers.models.llama.modeling_llama  # noqa: F401

import trainer.evaluate
import trainer.publish
import trainer.recipes
import trainer.train
from trainer.__main__ import ended
from trainer.durability.interruption import signals_end_the_step
from trainer.pipeline import run_step
from trainer.settings import Settings
from trainer.sinks import Metrics, Sinks

_SERVER = multiprocessing.get_context("forkserver")
_CODE, _TESTS = str(Path(trainer.recipes.__file__).parents[1]) + os.sep, str(Path(__file__).parent)
_LIMIT_SECONDS = 120

# Where a line is run: in the innermost of these calls, else in "training". File below trainer/ and function.
ROOMS = {
    ("durability/checkpoint.py", "save"): "saving",
    ("durability/checkpoint.py", "_bring"): "upload",
    ("durability/checkpoint.py", "newest"): "resuming",
    ("loop.py", "_measure"): "measuring",
    ("prepare.py", "run"): "preparing",
    ("evaluate.py", "run"): "evaluation",
}
# Moments that are a call. "step" is the sink's, after each step.
_CALLS = {
    "micro-step": ("model/loss.py", "summed_loss"),
    "save": ("publishing/manifest.py", "seal"),
    "load": ("model/base.py", "load"),
    "held-out row": ("evaluation/losses.py", "document_losses"),
}


@dataclass(frozen=True)
class Death:
    """The nth time that `moment` (a room, or a call) comes: a signal to the process itself. 0: never.

    then: a second one, where the first did not end it.
    """

    moment: str = "step"
    number: int = 0
    with_signal: signal.Signals = signal.SIGKILL
    then: "Death | None" = None

    @property
    def all(self) -> list["Death"]:
        return [self, *(self.then.all if self.then is not None else [])]


@dataclass(frozen=True)
class Surroundings:
    """environment: added to the process's own (rank, object store). file_bytes: where its disk is full; -1: never."""

    environment: Mapping[str, str] = field(default_factory=dict)
    file_bytes: int = -1


@dataclass(frozen=True)
class Notes:
    """Files that outlive the process. Of a death: where it was. Of an end: the lines run in each room."""

    folder: Path

    @property
    def steps(self) -> int:
        """The last step that was finished, over all processes that noted here."""
        file = self.folder / "steps"
        return int(file.read_text().split()[-1]) if file.exists() else 0

    @property
    def lines(self) -> Mapping[str, int]:
        return dict(json.loads((self.folder / "lines").read_text()))

    @property
    def place(self) -> str:
        file = self.folder / "place"
        return file.read_text() if file.exists() else "nowhere"


class _Fatal(Sinks):
    """Counts the steps of this process, and notes each."""

    def __init__(self, death: Death, notes: Notes | None) -> None:
        super().__init__()
        self._death, self._notes, self._steps = death, notes, 0

    def progress(self, done: int, total: int, metrics: Metrics) -> None:
        del total, metrics
        self._steps += 1
        if self._notes is not None:
            with (self._notes.folder / "steps").open("a") as file:
                file.write(f"{done}\n")
        if self._death.moment == "step" and self._steps == self._death.number:
            os.kill(os.getpid(), self._death.with_signal)


class _Tracer:
    """Counts the lines of the trainer's own code by room, and dies at one of them."""

    def __init__(self, death: Death, notes: Notes | None) -> None:
        self._death, self._notes = death, notes
        self.lines: Counter[str] = Counter()
        self._rooms = threading.local()

    def begin(self) -> None:
        threading.settrace(self.call)
        sys.settrace(self.call)

    def end(self) -> None:
        sys.settrace(None)
        threading.settrace(None)

    def call(self, frame: FrameType, event: str, argument: Any) -> Any:
        del event, argument
        code = frame.f_code
        if not code.co_filename.startswith(_CODE) or code.co_filename.startswith(_TESTS):
            return None
        called = (code.co_filename.removeprefix(_CODE), code.co_name)
        for moment, call in _CALLS.items():
            if called == call:
                self._count(moment, frame)
        if called in ROOMS:
            self._stack().append(ROOMS[called])
        return self._line

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        del argument
        if event == "line":
            self._count((self._stack() or ["training"])[-1], frame)
        elif event == "return" and (frame.f_code.co_filename.removeprefix(_CODE), frame.f_code.co_name) in ROOMS:
            self._stack().pop()
        return self._line

    def _stack(self) -> list[str]:
        if not hasattr(self._rooms, "stack"):
            self._rooms.stack = []
        stack: list[str] = self._rooms.stack
        return stack

    def _count(self, moment: str, frame: FrameType) -> None:
        self.lines[moment] += 1
        for death in self._death.all:
            if (moment, self.lines[moment]) == (death.moment, death.number):
                if self._notes is not None:
                    where = f"{moment} {frame.f_code.co_filename.removeprefix(_CODE)}:{frame.f_lineno}"
                    (self._notes.folder / "place").write_text(where)
                os.kill(os.getpid(), death.with_signal)


def train(settings: Settings, recipes: Path, death: Death) -> int:
    """Exit code of `train` in a process of its own; negative: the signal that killed it."""
    return exit_code(start("train", settings, recipes, death))


def start(
    step: str,
    settings: Settings,
    recipes: Path,
    death: Death,
    *,
    notes: Notes | None = None,
    around: Surroundings | None = None,
) -> BaseProcess:
    """The process of a step, started."""
    _SERVER.set_forkserver_preload([__name__])
    told = (step, settings, recipes, death, notes, around or Surroundings())
    process = _SERVER.Process(target=_child, args=told)
    process.start()
    return process


def exit_code(process: BaseProcess) -> int:
    process.join(timeout=_LIMIT_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError("the step hangs")
    return process.exitcode


def _child(
    step: str, settings: Settings, recipes: Path, death: Death, notes: Notes | None, around: Surroundings
) -> None:
    os.environ.update(around.environment)
    resource.setrlimit(resource.RLIMIT_FSIZE, (around.file_bytes, around.file_bytes))
    torch.set_num_threads(1)
    trainer.recipes.FOLDER = recipes
    signals_end_the_step()
    tracer, is_traced = _Tracer(death, notes), death.moment != "step" or notes is not None
    if is_traced:
        tracer.begin()
    code = ended(lambda: run_step(step, settings, _Fatal(death, notes)))
    tracer.end()
    if notes is not None:
        (notes.folder / "lines").write_text(json.dumps(tracer.lines))
    raise SystemExit(code)
