"""The ledger: what each attempt has cost, once, to the hundredth of a cent."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from app.contract.cost import Cost
from app.store.attempts import Attempt, Attempts
from app.store.jobs import Jobs
from app.store.ledger import Ledger
from app.tests.local import envelope
from trainer.contract.report import Usage

JANUARY, FEBRUARY = datetime(2026, 1, 31, 23, 59, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def ledger(any_engine: Engine) -> Ledger:
    return Ledger(any_engine)


def attempt(engine: Engine, job: str, tenant: str = "acme", *, ended: datetime | None = None) -> Attempt:
    Jobs(engine).insert_or_ignore(envelope(job, tenant), traceparent=None)
    assert Attempts(engine).begin(job, cap=99)
    (made,) = [one for one in Attempts(engine).unconfirmed() if one.job.id == job]
    return replace(made, finished_at=ended)


def note(ledger: Ledger, of: Attempt, amount: str, *, final: bool = True) -> None:
    cost = Cost(amount=Decimal(amount), currency="EUR")
    ledger.note(of, usage=Usage(cpu_seconds=1.5), waited_seconds=2.25, cost=cost, final=final)


def test_a_month_is_the_sum_of_its_attempts_without_a_rounding_error(any_engine: Engine, ledger: Ledger) -> None:
    for number in range(10):
        note(ledger, attempt(any_engine, f"job{number}", ended=JANUARY), "0.1001")
    note(ledger, attempt(any_engine, "later", ended=FEBRUARY), "5")
    note(ledger, attempt(any_engine, "theirs", "globex", ended=JANUARY), "7")
    assert ledger.spent("acme", month="2026-01") == Decimal("1.0010")
    assert ledger.spent("acme", month="2026-02") == 5
    assert ledger.spent("globex", month="2026-02") == 0


def test_an_attempt_counts_once_and_its_end_is_the_last_word(any_engine: Engine, ledger: Ledger) -> None:
    running = attempt(any_engine, "job")
    note(ledger, running, "1", final=False)
    note(ledger, running, "2", final=False)
    assert ledger.spent("acme", month=f"{datetime.now(UTC):%Y-%m}") == 2
    note(ledger, replace(running, finished_at=JANUARY), "3")
    note(ledger, replace(running, finished_at=FEBRUARY), "4")  # told twice
    note(ledger, running, "9", final=False)  # a report that was late
    (entry,) = ledger.of_job("acme", "job")
    assert (entry.month, entry.cost.amount, entry.is_final) == ("2026-01", Decimal(3), True)
    assert (entry.usage.cpu_seconds, entry.waited_seconds, entry.attempt) == (1.5, 2.25, 1)
    assert ledger.of_job("globex", "job") == []
