"""No update from a loss or gradient that is no number or far off the others, and an end to a diverged training."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch.distributed.tensor import DTensor

from trainer.outcomes import BadInput, Unavailable

MOST_SKIPPED_IN_A_ROW = 5
MOST_HALVINGS = 3
MOST_REWINDS = 10  # of one training; after them an update that spikes is left out

_HORIZON = 100  # steps of the moving averages
_STEPS_BEFORE = 20  # that a mean and a deviation need to mean something
_DEVIATIONS = 6.0
_LEAST_DEVIATION = 0.01  # of the mean: a loss that hardly moves has no spikes


@dataclass(frozen=True)
class Trend:
    """Moving mean and variance of the loss."""

    mean: float = 0.0
    variance: float = 0.0
    steps: int = 0

    @property
    def limit(self) -> float:
        """A loss above it is a spike."""
        if self.steps < _STEPS_BEFORE:
            return math.inf
        return self.mean + _DEVIATIONS * max(math.sqrt(self.variance), _LEAST_DEVIATION * abs(self.mean))

    def after(self, loss: float) -> "Trend":
        """With one more loss; a spike counts as the highest loss that is none."""
        if not math.isfinite(loss):
            return self
        if self.steps == 0:
            return Trend(loss, 0.0, 1)
        weight, off = 2 / (_HORIZON + 1), min(loss, self.limit) - self.mean
        variance = (1 - weight) * (self.variance + weight * off * off)
        return Trend(self.mean + weight * off, variance, self.steps + 1)


def clipped(parameters: Iterable[torch.nn.Parameter], *, most: float) -> float:
    """Clip the gradients to the norm `most` and return their norm before. Source: torch.nn.utils.clip_grad_norm_.

    The norm is over the parts of all ranks where weights are sharded; then every rank must call it.
    """
    weights = list(parameters)
    norm = torch.nn.utils.get_total_norm([weight.grad for weight in weights if weight.grad is not None], foreach=False)
    if isinstance(norm, DTensor):
        norm = norm.full_tensor()
    torch.nn.utils.clip_grads_with_norm_(weights, most, norm, foreach=False)
    return float(norm)


def fewer_rows(rows: int, *, at_first: int) -> int:
    """Rows of a micro-step after memory ran out with `rows`. Raises Unavailable when that has been tried enough."""
    if rows == 1 or rows * 2**MOST_HALVINGS <= at_first:
        raise Unavailable(
            f"GPU memory ran out with {rows} rows at a time ({at_first} in the recipe); use activationCheckpointing,"
            " method qlora, or a smaller width"
        )
    return rows // 2


def refuse_divergence(step: int, skipped_in_a_row: int) -> None:
    """Raise BadInput after too many skipped updates: the same job would diverge again."""
    if skipped_in_a_row >= MOST_SKIPPED_IN_A_ROW:
        raise BadInput(
            f"step {step}: {skipped_in_a_row} updates in a row had a loss or gradient that is no number or far above"
            " the others; the training has diverged; lower learningRate or look at the rows"
        )
