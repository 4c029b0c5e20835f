"""Asynchronous successive halving: at each rung a trial goes on only when it is among the best that came as far. Pure.

Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning" (MLSys 2020). A rung is a number of rows, not
of steps, so that a trial with large batches is compared after as much data as one with small ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.contract.search import Pruning


@dataclass(frozen=True)
class Measurement:
    """Held-out loss of a trial after so many optimizer steps and rows; infinite when it was no number."""

    step: int
    rows: int
    loss: float


@dataclass(frozen=True)
class Halving:
    """batch_rows: of the recipe that is searched; its steps are those of `pruning`."""

    pruning: Pruning
    batch_rows: int

    def rung(self, own: Sequence[Measurement]) -> int | None:
        """The rung that the last measurement is the first to reach; None for any other measurement."""
        reached, before = self._rungs(own), self._rungs(own[:-1])
        return reached - 1 if reached > before else None

    def goes_on(self, rung: int, own: Sequence[Measurement], others: Sequence[Sequence[Measurement]]) -> bool:
        """Whether the trial is among the best of those that reached the rung; the best one always is."""
        mine = self._at(rung, own)
        losses = sorted([mine, *(loss for other in others if (loss := self._at(rung, other)) < math.inf)])
        return mine <= losses[max(len(losses) // self.pruning.reduction, 1) - 1]

    def _rungs(self, found: Sequence[Measurement]) -> int:
        """How many rungs were reached."""
        rung = 0
        while found and self._is_reached(rung, found[-1]):
            rung += 1
        return rung

    def _at(self, rung: int, found: Sequence[Measurement]) -> float:
        """Loss when the rung was reached; infinite for a trial that did not come as far."""
        return next((each.loss for each in found if self._is_reached(rung, each)), math.inf)

    def _is_reached(self, rung: int, measurement: Measurement) -> bool:
        rows = float(self.pruning.min_steps * self.pruning.reduction**rung * self.batch_rows)
        return measurement.step >= max(1, round(rows * measurement.step / measurement.rows))
