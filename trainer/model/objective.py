"""What a training makes small, as the loop sees it: sums over rows, and what they are divided by."""

from collections.abc import Sequence
from typing import Protocol

import torch

from trainer.contract.recipe import Recipe
from trainer.data.packing import PackedRow
from trainer.model.loss import summed_loss
from trainer.model.preference import pair_losses, pairs_of, rewards
from trainer.model.tuned import Tuned


class Objective(Protocol):
    """names: of the figures, the loss first. Each figure is a mean per unit over the whole global batch."""

    names: tuple[str, ...]

    def units(self, row: PackedRow) -> int:
        """What the row adds to the divisor."""
        ...

    def sums(self, model: Tuned, rows: Sequence[PackedRow]) -> torch.Tensor:
        """The figures summed over the units of the rows, [names] in fp32; the first has a gradient."""
        ...


class Supervised:
    """The likelihood of the answers. Unit: a labelled token."""

    names: tuple[str, ...] = ("loss",)

    def units(self, row: PackedRow) -> int:
        return row.labelled

    def sums(self, model: Tuned, rows: Sequence[PackedRow]) -> torch.Tensor:
        return summed_loss(model, rows)[None]


class Preferred:
    """Which of two answers is preferred. Unit: a pair."""

    names: tuple[str, ...] = ("loss", "rewardAccuracy", "rewardMargin")

    def __init__(self, beta: float) -> None:
        self._beta = beta

    def units(self, row: PackedRow) -> int:
        return pairs_of(row)

    def sums(self, model: Tuned, rows: Sequence[PackedRow]) -> torch.Tensor:
        found = rewards(model, rows, self._beta)
        margins = (found[:, 0] - found[:, 1]).detach()
        return torch.stack([pair_losses(found).sum(), (margins > 0).float().sum(), margins.sum()])


def objective_of(recipe: Recipe) -> Objective:
    return Preferred(recipe.beta) if recipe.objective == "dpo" else Supervised()
