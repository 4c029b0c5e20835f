"""Money of a training job: usage times prices, by hand and by the formula."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract.cost import Prices, cost_of
from trainer.contract.report import Usage

PRICES = Prices(currency="EUR", cpu_hour=Decimal("0.05"), gpu_hour=Decimal("2.40"))
SECONDS = st.floats(0, 1e7, allow_nan=False)

# A job of two attempts on one GPU. The first was killed after 30 minutes, 10 of them after its last checkpoint; the
# second went on from there for 45 minutes, and evaluation took 3 more on the GPU.
KILLED = Usage(
    gpu_seconds=1800, productive_gpu_seconds=1200, wasted_gpu_seconds=600, cpu_seconds=2000, wasted_cpu_seconds=650
)
RESUMED = Usage(gpu_seconds=2880, productive_gpu_seconds=2880, cpu_seconds=3400, productive_cpu_seconds=3400)


@pytest.mark.requirement("E87")
def test_the_cost_of_a_job_with_a_kill_is_the_hand_sum_of_its_attempts() -> None:
    first, second = cost_of(KILLED, PRICES), cost_of(RESUMED, PRICES)

    assert first.amount == Decimal("1.2278")  # 0.5 h x 2.40 + 2000 s x 0.05 / 3600
    assert second.amount == Decimal("1.9672")  # 0.8 h x 2.40 + 3400 s x 0.05 / 3600
    assert first.amount + second.amount == Decimal("3.1950")  # 1.3 h x 2.40 + 1.5 h x 0.05


@pytest.mark.requirement("E87")
def test_what_was_wasted_is_paid_for() -> None:
    useful = Usage(gpu_seconds=KILLED.productive_gpu_seconds, cpu_seconds=2000 - 650)

    assert cost_of(KILLED, PRICES).amount > cost_of(useful, PRICES).amount


@pytest.mark.requirement("E87")
def test_cost_is_of_the_usage_alone_and_so_does_not_grow_after_the_end() -> None:
    stated = RESUMED.model_dump_json()

    assert {cost_of(Usage.model_validate_json(stated), PRICES).amount for _ in range(3)} == {Decimal("1.9672")}


@given(SECONDS, SECONDS, st.integers(1, 32))
def test_a_rank_more_costs_as_much_as_the_first(gpu: float, cpu: float, ranks: int) -> None:
    one = cost_of(Usage(gpu_seconds=gpu, cpu_seconds=cpu), PRICES).amount
    all_ranks = cost_of(Usage(gpu_seconds=ranks * gpu, cpu_seconds=ranks * cpu), PRICES).amount

    assert abs(all_ranks - ranks * one) <= Decimal("0.0001") * (ranks + 1)


@given(SECONDS, SECONDS)
def test_more_usage_never_costs_less(less: float, more: float) -> None:
    less, more = sorted((less, more))

    assert cost_of(Usage(gpu_seconds=less), PRICES).amount <= cost_of(Usage(gpu_seconds=more), PRICES).amount


def test_a_job_on_the_processor_costs_its_hours_there() -> None:
    assert str(cost_of(Usage(cpu_seconds=7200, energy_wh=100, stored_bytes=10**9), PRICES)) == "0.1000 EUR"
