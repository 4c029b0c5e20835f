"""What trials may cost: how many begin, and how long each may take, so that all together never exceed the budget. Pure.

Time is counted in seconds of ranks: a second of a training on four GPUs is four.
"""

import math
from dataclasses import dataclass

from trainer.contract.search import Budget

_SHARES = 3.0  # most fair shares of what is left that one trial may take, before anybody knows how long trials take
_MARGIN = 1.5  # on the longest trial so far


@dataclass(frozen=True)
class Spent:
    """By the trials so far. longest, shortest: seconds of one that brought a result; none yet: 0."""

    trials: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    shortest: float = 0.0


@dataclass(frozen=True)
class Round:
    """trials: how many may begin at once. seconds: of ranks, that each may take; infinite where nothing bounds it."""

    trials: int
    seconds: float = math.inf


def seconds_of(budget: Budget) -> float:
    """Of ranks, in all: the smaller of what the hours and the money buy."""
    bounds = [math.inf if budget.gpu_hours is None else budget.gpu_hours * 3600]
    if budget.cost is not None and budget.cost_per_hour:
        bounds.append(float(budget.cost / budget.cost_per_hour) * 3600)
    return min(bounds)


def next_round(budget: Budget, spent: Spent, *, parallel: int) -> Round:
    """The largest round whose trials can all take what they are given; none when not one would come to a result."""
    trials, left = budget.trials - spent.trials, seconds_of(budget) - spent.seconds
    for count in range(min(parallel, trials), 0, -1):
        wanted = max(_SHARES * left / trials, _MARGIN * spent.longest) if math.isfinite(left) else left
        seconds = min(left / count, wanted)
        if seconds > spent.shortest:
            return Round(count, seconds)
    return Round(0)
