"""Confidence intervals: they hold what they promise, and the same rows give the same ones."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.contract.report import Interval
from trainer.evaluation.intervals import bootstrap, compared, perplexity, wilson

ROWS = st.lists(st.tuples(st.floats(0, 100), st.integers(1, 50)), min_size=1, max_size=12)


@given(ROWS)
@settings(max_examples=15, deadline=None)
def test_an_interval_holds_its_figure_within_the_rows_own(rows: list[tuple[float, int]]) -> None:
    found = bootstrap(np.array(rows, float))
    ratios = [total / tokens for total, tokens in rows]
    assert math.isclose(found.value, sum(total for total, _ in rows) / sum(tokens for _, tokens in rows))
    assert min(ratios) - 1e-9 <= found.low <= found.high <= max(ratios) + 1e-9


def test_long_rows_weigh_by_their_tokens() -> None:
    assert bootstrap(np.array([[9.0, 9.0], [3.0, 1.0]])).value == 1.2


def test_equal_rows_give_equal_intervals_and_one_row_no_width() -> None:
    rows = np.random.default_rng(1).random((30, 2)) + 1
    assert bootstrap(rows) == bootstrap(rows)
    alone = bootstrap(np.array([[4.0, 2.0]]))
    assert alone.low == alone.value == alone.high == 2.0


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    draw = np.random.default_rng(7)
    held = 0
    for _ in range(60):
        tokens = draw.integers(5, 50, size=80)
        losses = draw.normal(2.0, 0.5, size=80) * tokens
        found = bootstrap(np.stack([losses, tokens], axis=1).astype(float))
        held += found.low <= 2.0 <= found.high
    assert 50 <= held <= 60


def test_intervals_narrow_with_the_root_of_the_rows() -> None:
    draw = np.random.default_rng(3)
    few, many = (bootstrap(np.stack([draw.normal(2, 1, n), np.ones(n)], axis=1)) for n in (50, 800))
    assert 2.5 < (few.high - few.low) / (many.high - many.low) < 6.4


def test_both_models_meet_the_same_resamples() -> None:
    rows = np.random.default_rng(5).random((20, 2)) + 1
    score = compared(rows, rows * [0.5, 1])
    assert math.isclose(score.after.low, score.before.low / 2)
    assert score.rows == 20


def test_perplexity_is_finite_whatever_the_loss() -> None:
    assert perplexity(Interval(value=0, low=0, high=1)).high == math.e
    assert math.isfinite(perplexity(Interval(value=1e9, low=0, high=1e9)).value)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe 1998, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_shares_have_wilsons_interval(successes: int, trials: int, low: float, high: float) -> None:
    found = wilson(successes, trials)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)
