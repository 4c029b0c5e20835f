"""No update from a loss or gradient that is no number, and an end to a training that has diverged."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from trainer.outcomes import BadInput

MOST_SKIPPED_IN_A_ROW = 5


@dataclass(frozen=True)
class Health:
    """norm: of the gradients before clipping. ok: whether the update may be made."""

    norm: float
    ok: bool


def clipped(parameters: Iterable[torch.nn.Parameter], *, most: float) -> Health:
    """Clip the gradients to the norm `most`. Source: torch.nn.utils.clip_grad_norm_."""
    norm = float(torch.nn.utils.clip_grad_norm_(list(parameters), most, foreach=False))
    return Health(norm, ok=math.isfinite(norm))


def refuse_divergence(step: int, skipped_in_a_row: int) -> None:
    """Raise BadInput after too many skipped updates: the same job would diverge again."""
    if skipped_in_a_row >= MOST_SKIPPED_IN_A_ROW:
        raise BadInput(
            f"step {step}: {skipped_in_a_row} updates in a row had a loss or gradient that is no number;"
            " the training has diverged; lower learningRate or look at the rows"
        )
