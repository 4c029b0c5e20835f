"""Why a job waits: the reason that must go first, in words that help."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.waiting import Queue, seconds_until_begun, why

FREE: dict[str, Any] = {"position": 1, "running": 0, "most_running": 2}


@pytest.mark.parametrize(
    ("known", "reason", "told"),
    [
        ({}, "next_turn", "this job first"),
        ({"position": 3}, "next_turn", "2 jobs of the tenant before this one"),
        ({"room": 0}, "no_room", "all places are taken"),
        ({"room": 3}, "next_turn", "next turns"),
        ({"running": 2, "room": 0}, "tenant_cap", "2 jobs of the tenant run and 2 may"),
        ({"running": 2, "budget_spent": True}, "budget_spent", "raise budget.monthly"),
        ({"position": None, "running": 2, "budget_spent": True}, "kueue", "quota has room"),
    ],
)
def test_a_waiting_job_knows_what_it_waits_for(known: dict[str, Any], reason: str, told: str) -> None:
    found = why(Queue(**{**FREE, **known}))
    assert (found.reason, found.position) == (reason, known.get("position", 1))
    assert told in found.text


@pytest.mark.parametrize(
    ("position", "running", "rounds"), [(1, 0, 0), (2, 0, 0), (3, 0, 1), (1, 2, 1), (2, 2, 1), (3, 2, 2), (1, 3, 1)]
)
def test_an_estimate_counts_the_rounds_of_the_tenants_own_places(position: int, running: int, rounds: int) -> None:
    assert seconds_until_begun(Queue(position, running, 2), typical_seconds=60.0) == rounds * 60


@given(st.integers(1, 50), st.integers(0, 9), st.integers(1, 9))
def test_whoever_is_further_behind_waits_no_shorter(position: int, running: int, most: int) -> None:
    sooner = seconds_until_begun(Queue(position, running, most), typical_seconds=1.0)
    later = seconds_until_begun(Queue(position + 1, running, most), typical_seconds=1.0)
    assert sooner is not None
    assert later is not None
    assert sooner <= later


def test_nobody_estimates_what_nobody_can_know() -> None:
    assert seconds_until_begun(Queue(1, 0, 1, budget_spent=True), typical_seconds=1.0) is None
    assert seconds_until_begun(Queue(None, 0, 1), typical_seconds=1.0) is None
    assert seconds_until_begun(Queue(1, 0, 1), typical_seconds=None) is None
