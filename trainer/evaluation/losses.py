"""Held-out loss of each document, the documents of a packed row kept apart; of a preference data set, of each pair."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from trainer.contract.recipe import Recipe
from trainer.data.packing import IGNORED, PackedRow
from trainer.evaluation.intervals import Sums
from trainer.evaluation.pace import Pace
from trainer.model.loss import label_losses
from trainer.model.precision import computing
from trainer.model.preference import pair_losses, pairs_of, rewards
from trainer.model.tuned import Tuned

OfRow = Callable[[Tuned, PackedRow], Sums]


def document_losses(model: Tuned, row: PackedRow) -> Sums:
    """[documents, 2]: the sum of each document's losses and the number of its learned tokens."""
    losses = label_losses(model, [row]).detach().double().cpu().numpy()
    document = (np.cumsum(row.positions == 0) - 1)[1:][row.labels[1:] != IGNORED]
    found = np.zeros((int((row.positions == 0).sum()), 2))
    np.add.at(found[:, 0], document, losses)
    np.add.at(found[:, 1], document, 1.0)
    return found


def preference_losses(beta: float) -> OfRow:
    """[pairs, 2]: the loss of each pair and 1; log 2 where the model is the base."""

    def of_row(model: Tuned, row: PackedRow) -> Sums:
        losses = pair_losses(rewards(model, [row], beta)).detach().double().cpu().numpy()
        return np.stack([losses, np.ones(pairs_of(row))], axis=1)

    return of_row


@torch.no_grad()
def measured(model: Tuned, rows: Sequence[PackedRow], of_row: OfRow, *, recipe: Recipe, pace: Pace) -> Sums:
    """[units, 2] of all rows, in their order; units without a learned token are left out.

    The rows are divided among the ranks, a round at a time: a sharded model needs each of them in every forward.
    """
    if not rows:
        return np.zeros((0, 2))
    model.training(mode=False)
    device = model.causal.device
    rank, world = pace.ranks.rank, pace.ranks.world
    found: dict[int, Sums] = {}
    for first in range(0, len(rows), world):
        pace.step()
        place = first + rank
        with computing(recipe.precision, device):
            own = of_row(model, rows[min(place, len(rows) - 1)])
        if place < len(rows):
            found[place] = own
    whole = _gathered(found, _counts(rows, recipe), pace)
    return whole[whole[:, 1] > 0]


def _counts(rows: Sequence[PackedRow], recipe: Recipe) -> list[int]:
    documents = [int((row.positions == 0).sum()) for row in rows]
    return [number // 2 for number in documents] if recipe.objective == "dpo" else documents


def _gathered(found: dict[int, Sums], counts: Sequence[int], pace: Pace) -> Sums:
    """Every rank's rows in one array: each adds its own to zeros."""
    starts = np.cumsum([0, *counts])
    whole = np.zeros((int(starts[-1]), 2))
    for place, own in found.items():
        whole[starts[place] : starts[place + 1]] = own
    summed: Sums = pace.ranks.sum(torch.from_numpy(whole)).numpy()
    return summed
