"""Figures with 95 % confidence intervals.

One method for all that is measured over rows: each row gives a few sums (its loss and its tokens; its matching words
and all of them), a figure is a function of their totals, and the interval is the middle 95 % of that figure over 1,000
resamples of the rows, drawn with replacement (percentile bootstrap). The draw is seeded, so equal rows give equal
intervals. A single row gives no width: resampled, it is always itself. Proportions of few trials have Wilson's.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from trainer.contract.report import Interval, Score

RESAMPLES = 1000
_SEED = 20
Z = 1.959964  # 97.5 % of a normal distribution lie below

Sums = npt.NDArray[np.float64]  # [rows, sums]
Figure = Callable[[Sums], float]  # of the totals [sums]


def ratio(totals: Sums) -> float:
    """First total by second: a mean per token, a share of rows."""
    return float(totals[0] / totals[1])


def bootstrap(rows: Sums, figure: Figure = ratio) -> Interval:
    """The figure of all rows. rows: [rows, sums], at least one row."""
    draw = np.random.default_rng(_SEED)
    number = len(rows)
    found = []
    for _ in range(RESAMPLES):
        times = np.bincount(draw.integers(number, size=number), minlength=number)
        found.append(figure(times @ rows))
    low, high = np.quantile(found, (0.025, 0.975))
    return Interval(value=figure(rows.sum(axis=0)), low=float(low), high=float(high))


def compared(before: Sums, after: Sums, figure: Figure = ratio) -> Score:
    """The figure of both models over the same rows: the same resamples too, so that the intervals go together."""
    return Score(before=bootstrap(before, figure), after=bootstrap(after, figure), rows=len(before))


def perplexity(loss: Interval) -> Interval:
    """E to the power of a loss and of its bounds; a loss that no float can raise has the largest float."""
    return Interval(value=_exp(loss.value), low=_exp(loss.low), high=_exp(loss.high))


def wilson(successes: float, trials: int) -> Interval:
    """A share of trials. Source: Wilson 1927; unlike the normal form it stays within 0 and 1 and has width at both."""
    share, spread = successes / trials, Z**2 / trials
    middle = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    return Interval(value=share, low=max(0.0, middle - half), high=min(1.0, middle + half))


def _exp(value: float) -> float:
    return math.exp(min(value, 709.0))
