"""What the loop does beside making steps: schedules, early stopping, spikes, memory that runs out, precision."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainer.contract.recipe import Recipe
from trainer.data.batches import Batches, dealt
from trainer.data.masks import Document
from trainer.data.packing import PackedRow, packed
from trainer.durability.interruption import Interruption
from trainer.loop import Training
from trainer.model import gradients, objective
from trainer.model.gradients import gpu_memory_suffices
from trainer.model.loss import summed_loss
from trainer.model.making import tuned
from trainer.model.precision import LossScale
from trainer.model.tuned import Tuned
from trainer.outcomes import BadInput, Unavailable
from trainer.schedule import Plan
from trainer.tests import toy
from trainer.tests.watching import Watching

PLAIN: Mapping[str, Any] = {
    **toy.PLAIN,
    "max_steps": 12,
    "checkpoint_steps": 4,
}
Loss = Callable[[Tuned, Sequence[PackedRow]], torch.Tensor]


def _rows(number: int = 8) -> list[PackedRow]:
    random = np.random.default_rng(0)
    lengths = random.integers(16, 60, number)
    documents = [
        Document(line, random.integers(3, 500, length).astype(np.int32), np.arange(length) >= length // 2)
        for line, length in enumerate(lengths)
    ]
    return [packed([document]) for document in documents]


def _training(base: Path, *, held_out: int = 0, **changes: Any) -> tuple[Training, Watching, list[dict[str, Any]]]:
    recipe = Recipe(**{**PLAIN, **changes})
    rows, lines = _rows(), []
    plan = Plan.of(recipe, len(rows), seed=3)
    model = tuned(base, recipe, seed=3)
    training = Training(model, plan, Batches(rows, 3, recipe.epochs), rows[:held_out])
    keeper = Watching(lambda line: lines.append(dict(line)))
    keeper.training = training
    return training, keeper, lines


def _weights(training: Training) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in training.parameters.values()])


@pytest.mark.requirement("E77")
@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_schedules_are_torchs_own(schedule: str) -> None:
    plan = Plan(Recipe(schedule=schedule, learning_rate=0.1, warmup_steps=0), 10, seed=0)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    theirs = {
        "cosine": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10),
        "linear": torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, 10),
        "constant": torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0),
    }[schedule]

    for step in range(10):
        assert plan.learning_rate(step) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize(("size", "world"), [(1, 1), (2, 1), (1, 2), (2, 2), (3, 2), (2, 4)])
def test_ranks_are_dealt_every_row_once_in_as_many_micro_steps(size: int, world: int) -> None:
    rows = _rows(7)
    hands = [list(dealt(rows, 100, size=size, rank=rank, world=world)) for rank in range(world)]

    assert len({len(hand) for hand in hands}) == 1
    turns = [micro_step for turn in zip(*hands, strict=True) for micro_step in turn]
    assert [id(row) for micro_step in turns for row in micro_step.rows] == [id(row) for row in rows]
    alone = [step.random_seed(1) for step in dealt(rows, 100, size=size, rank=0, world=1)]
    assert [step.random_seed(1) for step in turns if step.rows] == alone


def test_micro_steps_of_several_rows_lose_what_those_of_one_do(base: Path) -> None:
    lines = []
    for micro_rows in (1, 2):
        training, keeper, told = _training(base, micro_rows=micro_rows, max_steps=4)
        training.run(Interruption(), keeper)
        lines.append([line["loss"] for line in told])
        assert training.counters.computed_tokens >= training.counters.tokens

    assert lines[1] == pytest.approx(lines[0], rel=1e-5)


class _HeldOutLosses:
    """The held-out losses that a training is to measure, in place of its own."""

    def __init__(self, losses: Sequence[float]) -> None:
        self._losses = iter(losses)

    def __call__(self, model: Tuned, rows: Sequence[PackedRow]) -> torch.Tensor:
        loss = objective_loss(model, rows)
        if torch.is_grad_enabled():
            return loss
        return loss * 0 + next(self._losses) * sum(row.labelled for row in rows)


objective_loss = summed_loss


def test_a_training_ends_with_the_best_weights_once_the_held_out_loss_rises(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objective, "summed_loss", _HeldOutLosses([5.0, 4.0, 4.5, 4.2, 1.0]))
    training, keeper, lines = _training(base, held_out=1, evaluate_steps=2, patience=2)

    assert training.run(Interruption(), keeper)

    assert training.stopped_early
    assert training.counters.step == 8
    assert training.counters.measured.best_step == 4
    assert keeper.best == [2, 4]
    assert [line["evalLoss"] for line in lines if "evalLoss" in line] == pytest.approx([5.0, 4.0, 4.5, 4.2])


@pytest.mark.requirement("E78")
@pytest.mark.parametrize("stop", [2, 5, 7])
def test_a_training_stopped_between_measurements_ends_as_one_that_was_not(base: Path, stop: int) -> None:
    choice: dict[str, Any] = {"held_out": 3, "evaluate_steps": 2, "patience": 3, "dropout": 0.1}
    straight, keeper, _ = _training(base, **choice)
    straight.run(Interruption(), keeper)
    broken, keeper, _ = _training(base, **choice)
    asked = Interruption()
    broken_keeper = Watching(lambda line: asked.request() if line["step"] == stop else None)
    assert not broken.run(asked, broken_keeper)
    snapshot = broken.snapshot({})

    again, keeper, _ = _training(base, **choice)
    again.restore(snapshot)
    again.run(Interruption(), keeper)

    assert torch.equal(_weights(again), _weights(straight))
    assert bytes(again.metrics) == bytes(straight.metrics)
    assert again.counters == straight.counters


def _spiking(at: Sequence[int], value: float) -> Loss:
    """The nth micro-steps have a loss far off; their gradients too."""
    calls = itertools.count(1)

    def loss(model: Tuned, rows: Sequence[PackedRow]) -> torch.Tensor:
        return objective_loss(model, rows) * (value if next(calls) in at else 1.0)

    return loss


SPIKE = 26  # a step after the mean and deviation of the loss mean something, and after the checkpoint of step 24


def test_a_spike_takes_the_weights_back_and_leaves_out_what_led_to_it(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objective, "summed_loss", _spiking([2 * SPIKE - 1, 2 * SPIKE], 50.0))
    training, keeper, lines = _training(base, max_steps=SPIKE)

    training.run(Interruption(), keeper)

    assert lines[-1]["wentBackTo"] == 24
    then = keeper.saved[24].tensors
    assert all(torch.equal(weight, then[f"adapter.{name}"]) for name, weight in training.parameters.items())
    assert (training.counters.rewinds, training.counters.skipped) == (1, 2)
    assert training.counters.position == 2 * SPIKE


def test_a_spike_without_a_checkpoint_leaves_out_its_update(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objective, "summed_loss", _spiking([2 * SPIKE - 1, 2 * SPIKE], 50.0))
    training, keeper, lines = _training(base, max_steps=SPIKE)
    keeper.training = None

    training.run(Interruption(), keeper)

    assert "wentBackTo" not in lines[-1]
    assert (training.counters.skipped, lines[-1]["skipped"]) == (1, 1)


def test_a_training_stopped_before_a_spike_ends_as_one_that_was_not(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objective, "summed_loss", _spiking([2 * SPIKE], 100.0))
    straight, keeper, _ = _training(base, max_steps=30)
    straight.run(Interruption(), keeper)
    assert straight.counters.rewinds == 1

    monkeypatch.setattr(objective, "summed_loss", _spiking([2], 100.0))  # counted from the stop
    again, again_keeper, _ = _training(base, max_steps=30)
    again_keeper.saved = {24: keeper.saved[24]}
    again.restore(_before(base, SPIKE - 1))
    again.run(Interruption(), again_keeper)

    assert torch.equal(_weights(again), _weights(straight))


def _before(base: Path, step: int) -> Any:
    """The snapshot of a training that was asked to stop after a step, before anything spiked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objective, "summed_loss", objective_loss)
        training, _, _ = _training(base, max_steps=30)
        asked = Interruption()
        training.run(asked, Watching(lambda line: asked.request() if line["step"] == step else None))
    return training.snapshot({})


@pytest.mark.requirement("E78")
def test_memory_that_runs_out_halves_the_micro_steps_and_keeps_the_global_batch(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def narrow(model: Tuned, rows: Sequence[PackedRow]) -> torch.Tensor:
        if len(rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return objective_loss(model, rows)

    wide, keeper, straight = _training(base, batch_rows=8, micro_rows=8, max_steps=2)
    wide.run(Interruption(), keeper)
    monkeypatch.setattr(objective, "summed_loss", narrow)
    training, keeper, lines = _training(base, batch_rows=8, micro_rows=8, max_steps=2)
    training.run(Interruption(), keeper)

    assert training.counters.micro_rows == 2
    assert [line["tokens"] for line in lines] == [line["tokens"] for line in straight]
    assert [line["loss"] for line in lines] == pytest.approx([line["loss"] for line in straight], rel=1e-5)


@pytest.mark.requirement("E78")
def test_memory_that_runs_out_in_a_measurement_halves_it_too(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def narrow(model: Tuned, rows: Sequence[PackedRow]) -> torch.Tensor:
        if len(rows) > 1 and not torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory")
        return objective_loss(model, rows)

    found = []
    for loss in (objective_loss, narrow):
        monkeypatch.setattr(objective, "summed_loss", loss)
        training, keeper, lines = _training(base, held_out=4, evaluate_steps=2, micro_rows=2, max_steps=2)
        training.run(Interruption(), keeper)
        found.append(lines[-1]["evalLoss"])

    assert training.counters.micro_rows == 1
    assert found[1] == pytest.approx(found[0], rel=1e-5)


OUT_OF_MEMORY = r"ran out .CUDA out of memory.; lower microRows"


def test_memory_that_runs_out_beside_the_micro_steps_says_so() -> None:
    with pytest.raises(Unavailable, match=OUT_OF_MEMORY), gpu_memory_suffices():
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_memory_that_runs_out_where_ranks_share_the_weights_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "is_sharded", lambda _: True)

    with pytest.raises(Unavailable, match=OUT_OF_MEMORY):
        gradients.out_of_memory(torch.nn.Linear(1, 1), torch.OutOfMemoryError("CUDA out of memory"))


def test_memory_that_never_suffices_is_told_with_the_remedy(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(model: Tuned, rows: Sequence[PackedRow]) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(objective, "summed_loss", never)
    training, keeper, _ = _training(base, batch_rows=8, micro_rows=8)

    with pytest.raises(Unavailable, match=r"with 1 rows at a time .8 in the recipe.; use activationCheckpointing"):
        training.run(Interruption(), keeper)


def test_a_loss_that_is_no_number_updates_nothing_and_ends_the_training_in_the_end(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objective, "summed_loss", _spiking(range(1, 100), float("nan")))
    training, keeper, lines = _training(base)
    before = _weights(training)

    with pytest.raises(BadInput, match="step 5: 5 updates in a row"):
        training.run(Interruption(), keeper)

    assert torch.equal(_weights(training), before)
    assert lines[-1]["loss"] is None


def test_gradients_that_overflow_halve_the_scale_and_end_no_training(base: Path) -> None:
    training, keeper, _ = _training(base, precision="fp16", max_steps=6)
    training.counters = dataclasses.replace(training.counters, scale=LossScale(2.0**60))

    training.run(Interruption(), keeper)

    assert training.counters.skipped == 6  # far too much, though halved at each step
    assert training.counters.scale.value == 2.0**54


def test_the_scale_rises_after_long_without_an_overflow() -> None:
    scale = LossScale.of("fp16")
    for _ in range(2000):
        scale = scale.after(overflowed=False)

    assert scale == LossScale(2.0**17, 0)
    assert scale.after(overflowed=True) == LossScale(2.0**16, 0)
    assert LossScale.of("bf16").after(overflowed=False) == LossScale(1.0, 0)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precisions_train_fp32_weights(base: Path, precision: str) -> None:
    training, keeper, lines = _training(base, precision=precision, max_steps=6)

    training.run(Interruption(), keeper)

    assert {weight.dtype for weight in training.parameters.values()} == {torch.float32}
    assert lines[-1]["loss"] < lines[0]["loss"]


def test_the_loop_is_short_enough_to_be_read() -> None:
    text = (Path(__file__).parents[1] / "loop.py").read_text()

    assert len(text.splitlines()) < 300
