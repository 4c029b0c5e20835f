"""Trainings in processes of their own that die at a chosen moment. Imported by a fork server once, so each is cheap."""

import multiprocessing
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft.tuners.lora  # noqa: F401 - loaded before the fork, as the next one
import torch
import transformers.models.llama.modeling_llama  # noqa: F401

import trainer.durability.checkpoint
import trainer.loop
import trainer.recipes
from trainer.__main__ import ended
from trainer.pipeline import run_step
from trainer.settings import Settings
from trainer.sinks import Metrics, Sinks

_SERVER = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Death:
    """The nth time that `moment` comes: a signal to the process itself. 0: never."""

    moment: str = "step"
    number: int = 0
    with_signal: signal.Signals = signal.SIGKILL


class _Fatal(Sinks):
    """Counts the steps of this process."""

    def __init__(self, death: Death) -> None:
        super().__init__()
        self._death, self._steps = death, 0

    def progress(self, done: int, total: int, metrics: Metrics) -> None:
        del done, total, metrics
        self._steps += 1
        if self._death.moment == "step" and self._steps == self._death.number:
            os.kill(os.getpid(), self._death.with_signal)


def train(settings: Settings, recipes: Path, death: Death) -> int:
    """Exit code of `train` in a process of its own; negative: the signal that killed it."""
    _SERVER.set_forkserver_preload([__name__])
    process = _SERVER.Process(target=_child, args=(settings, recipes, death))
    process.start()
    process.join(timeout=60)
    assert process.exitcode is not None, "the training hangs"
    return process.exitcode


def _child(settings: Settings, recipes: Path, death: Death) -> None:
    torch.set_num_threads(1)
    trainer.recipes.FOLDER = recipes
    for moment, (module, name) in _MOMENTS.items():
        if moment == death.moment:
            _die_in(module, name, death)
    raise SystemExit(ended(lambda: run_step("train", settings, _Fatal(death))))


_MOMENTS: Mapping[str, tuple[Any, str]] = {
    "micro-step": (trainer.loop, "summed_loss"),
    "save": (trainer.durability.checkpoint, "seal"),
}


def _die_in(module: Any, name: str, death: Death) -> None:
    """Die when `module.name` is called for the nth time."""
    original, calls = getattr(module, name), iter(range(1, 1_000_000))

    def fatal(*arguments: Any, **named: Any) -> Any:
        if next(calls) == death.number:
            os.kill(os.getpid(), death.with_signal)
        return original(*arguments, **named)

    setattr(module, name, fatal)
