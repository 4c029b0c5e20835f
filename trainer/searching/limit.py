"""What ends a trial before its last step: it is not among the best at a rung, or its time is used up.

What the trial has taken is written down before it is taken, so that a run that is killed is not forgotten.
"""

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trainer.searching.halving import Halving, Measurement
from trainer.searching.trials import Ending, Proposal, Trials

_SECONDS_AHEAD = 10.0  # that are written down before they are taken
_SPARE = 2.0  # longest steps so far that must still fit: one to come, one to save


@dataclass
class Limit:
    """Of one run of a trial, on its first rank. batch_rows, world: its recipe's rows of a step, its ranks."""

    trials: Trials
    proposal: Proposal
    batch_rows: int
    halving: Halving | None
    world: int = 1
    clock: Callable[[], float] = time.monotonic
    ending: Ending | None = None
    _measured: list[Measurement] = field(default_factory=list)
    _longest: float = 0.0

    def __post_init__(self) -> None:
        number = self.proposal.number
        self._began = self._last = self.clock()
        self._own_before = self.trials.spent(number, self.trials.roots[0])
        self._others = sum(self.trials.spent(number, root) for root in self.trials.roots[1:])
        self._written = 0.0
        self.resumed(sys.maxsize)  # what an earlier run decided, should the training be over already
        self._write(ahead=_SECONDS_AHEAD * self.world)

    @property
    def rank_seconds(self) -> float:
        """By all runs of the trial so far."""
        return self._others + self._own_before + self._own

    @property
    def is_reached(self) -> bool:
        return self.ending is not None

    def resumed(self, step: int) -> None:
        """The training goes on after this step: what was measured or decided after it did not happen."""
        found = self.trials.measurements(self.proposal.number)
        self._measured = [each for each in found if isinstance(each, Measurement) and each.step <= step]
        ended = [each for each in found if not isinstance(each, Measurement) and each[0] <= step]
        self.ending = ended[0][1] if ended else None

    def told(self, line: Mapping[str, Any]) -> None:
        """A step or a measurement is done. Raises Unavailable when it cannot be written down."""
        if "evalLoss" in line:
            self._measure(int(line["step"]), line["evalLoss"])
        now = self.clock()
        self._longest, self._last = max(self._longest, now - self._last), now
        spare = _SPARE * self._longest * self.world
        allowed = self.proposal.rank_seconds
        if self.ending is None and allowed is not None and self.rank_seconds + spare >= allowed:
            self._end("outOfTime", step=int(line["step"]))
        if self._own + spare > self._written:
            self._write(ahead=max(_SECONDS_AHEAD * self.world, 2 * spare))

    def close(self) -> None:
        """The run ends: what it took, to the second."""
        self._write(ahead=0.0)

    @property
    def _own(self) -> float:
        return (self.clock() - self._began) * self.world

    def _measure(self, step: int, loss: float | None) -> None:
        found = Measurement(step, step * self.batch_rows, math.inf if loss is None else loss)
        self._measured = [*(each for each in self._measured if each.step < step), found]
        self.trials.measure(self.proposal.number, self._measured)
        rung = self.halving.rung(self._measured) if self.halving is not None else None
        if self.halving is None or rung is None:
            return
        others = [trial.measurements for trial in self.trials.all() if trial.number != self.proposal.number]
        if not self.halving.goes_on(rung, self._measured, others):
            self._end("pruned", step=step)

    def _end(self, ending: Ending, *, step: int) -> None:
        self.ending = ending
        self.trials.measure(self.proposal.number, [*self._measured, (step, ending)])

    def _write(self, *, ahead: float) -> None:
        """Seconds of ranks of this attempt, with those that come before the next writing."""
        spent = self._own_before + self._own + ahead
        allowed = self.proposal.rank_seconds
        if allowed is not None:
            spent = min(spent, max(allowed - self._others, self._own_before + self._own))
        self.trials.spend(self.proposal.number, spent)
        self._written = self._own + ahead
