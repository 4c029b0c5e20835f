"""Hard recipes, stopped at a poll that a seed draws and gone on from the bucket alone: the same bytes in the end."""

import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainer.attempt import AttemptFolder
from trainer.contract.recipe import Recipe
from trainer.data.batches import Batches
from trainer.data.masks import Document
from trainer.data.packing import PackedRow, packed
from trainer.durability import guard
from trainer.durability.checkpoint import Checkpoints
from trainer.durability.counters import Counters
from trainer.durability.interruption import Interruption, SaveRequest
from trainer.durability.watchdog import Watchdog
from trainer.keeping import Kept
from trainer.loop import Training
from trainer.model import objective
from trainer.model.loss import summed_loss
from trainer.model.making import tuned
from trainer.model.tuned import Tuned
from trainer.schedule import Plan
from trainer.settings import Footprint
from trainer.sinks import Sinks
from trainer.tests import toy
from trainer.usage import Meter, Run

PLAIN: Mapping[str, Any] = {
    **toy.PLAIN,
    "dropout": 0.1,
    "max_steps": 4,
    "checkpoint_steps": 3,
    "keep_checkpoints": 1,
    "evaluate_steps": 2,
}
MEASURING, TRAINING = False, True  # kinds of polls: whether gradients are on


@dataclass(frozen=True)
class Hard:
    """spike: the step whose loss is far off. held_out: losses that the measurements find, by step.

    rewinds, skipped: what comes of it.
    """

    choices: Mapping[str, Any] = field(default_factory=dict)
    spike: int = 0
    rewinds: int = 0
    skipped: int = 0
    held_out: Mapping[int, float] = field(default_factory=dict)

    @property
    def recipe(self) -> Recipe:
        return Recipe(**{**PLAIN, **self.choices})


RISING = {2: 1.0, 4: 2.0, 6: 3.0}
HARD = {
    "patience": Hard({"patience": 2, "max_steps": 12}, held_out=RISING),
    "a spike": Hard({"max_steps": 7}, spike=6, rewinds=1, skipped=3),
    "a spike before any checkpoint was due": Hard({"checkpoint_steps": 50, "max_steps": 7}, spike=6, skipped=1),
    "fp16": Hard({"precision": "fp16"}),
    "8-bit states": Hard({"optimizer": "adamw-8bit", "rank": 64}),
    "preferences": Hard({"objective": "dpo", "micro_rows": 1}),
    "qlora": Hard({"method": "qlora"}),
    "full": Hard({"method": "full", "dropout": 0.0}),
}


class _Polled(Interruption):
    """Asked to stop at the nth poll of a kind; counts them."""

    def __init__(self, kind: bool = TRAINING, number: int = 0) -> None:  # noqa: FBT001
        super().__init__()
        self.polls = {MEASURING: 0, TRAINING: 0}
        self._kind, self._number = kind, number

    @property
    def requested(self) -> bool:
        self.polls[torch.is_grad_enabled()] += 1
        if self._number and self.polls[self._kind] == self._number:
            self.request()
        return super().requested


def _rows(recipe: Recipe) -> list[PackedRow]:
    made = np.random.default_rng(0)
    each = 2 if recipe.objective == "dpo" else 1
    documents = [
        Document(line // each, made.integers(3, 500, length).astype(np.int32), np.arange(length) >= length // 2)
        for line, length in enumerate(made.integers(16, 30, 6 * each))
    ]
    return [packed(documents[start : start + each]) for start in range(0, len(documents), each)]


class Job:
    """One training of a hard recipe over an attempt whose bucket is a folder."""

    def __init__(self, base: Path, folder: Path, hard: Hard) -> None:
        self._base, self._hard = base, hard
        self.attempt = AttemptFolder(folder / "disk", str(folder / "bucket"))
        self.training: Training | None = None

    def run(self, interruption: Interruption) -> bool:
        """From its newest checkpoint to the end, or to a stop; then the disk goes."""
        recipe, rows = self._hard.recipe, _rows(self._hard.recipe)
        self.attempt.local.mkdir(parents=True, exist_ok=True)
        self.training = training = Training(
            tuned(self._base, recipe, seed=3), Plan.of(recipe, len(rows), seed=3), Batches(rows, 3, 20), rows[:2]
        )
        checkpoints = Checkpoints(self.attempt, (), "f", keep=recipe.keep_checkpoints, every=recipe.checkpoint_steps)
        usage = Run(self.attempt, "train", Meter(gpus=0), rank=0, footprint=Footprint())
        wish, facts = SaveRequest(self.attempt.local), {"fingerprint": "f"}
        kept = Kept(training, checkpoints, facts, wish, usage, Sinks(), Watchdog(1e9))
        kept.resume()
        is_finished = training.run(interruption, kept)
        if is_finished and recipe.patience is not None:
            kept.go_to_best()
        if not is_finished:
            kept.keep(training.snapshot(facts), best=False)
        kept.finish()
        shutil.rmtree(self.attempt.local)
        return is_finished

    @property
    def counters(self) -> Counters:
        assert self.training is not None
        return self.training.counters

    @property
    def result(self) -> tuple[bytes, bytes]:
        training = self.training
        assert training is not None
        weights = torch.cat([weight.detach().flatten() for weight in training.parameters.values()])
        return weights.numpy().tobytes(), bytes(training.metrics)

    def injected(self, loss: torch.Tensor, units: int) -> torch.Tensor:
        """The loss that the recipe is to have where its training is now."""
        step, hard = self.counters.step, self._hard
        if torch.is_grad_enabled():
            return loss * (100.0 if step + 1 == hard.spike else 1.0)
        return loss * 0 + hard.held_out[step] * units if hard.held_out else loss


@pytest.fixture
def make_job(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Hard], Job]:
    jobs: list[Job] = []

    def loss(model: Tuned, rows: Sequence[PackedRow]) -> torch.Tensor:
        return jobs[-1].injected(summed_loss(model, rows), sum(row.labelled for row in rows))

    monkeypatch.setattr(objective, "summed_loss", loss)
    monkeypatch.setattr(guard, "_STEPS_BEFORE", 4)

    def make(name: str, hard: Hard) -> Job:
        jobs.append(Job(base, tmp_path / name, hard))
        return jobs[-1]

    return make


@pytest.mark.requirement("E78", "D73", "C54")
@pytest.mark.parametrize("name", HARD)
def test_a_stop_anywhere_changes_no_byte_of_a_hard_recipe(make_job: Callable[[str, Hard], Job], name: str) -> None:
    hard, polls, draw = HARD[name], _Polled(), random.Random(name)  # noqa: S311 - a draw that is the same each time
    straight = make_job("straight", hard)
    assert straight.run(polls)
    counters = straight.counters
    assert not hard.spike or (counters.rewinds, counters.skipped) == (hard.rewinds, hard.skipped)
    stops = {(MEASURING, 1), (TRAINING, 1 if hard.spike else draw.randint(1, polls.polls[TRAINING]))}

    for kind, number in sorted(stops):
        broken = make_job(f"{kind}-{number}", hard)
        assert not broken.run(_Polled(kind, number))
        assert broken.run(Interruption())
        assert broken.result == straight.result
        assert broken.counters == counters
