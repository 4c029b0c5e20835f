"""The state machine of a job."""

from hypothesis import given
from hypothesis import strategies as st

from app.contract.job import JobState
from app.jobs.state import Move, after


@given(st.lists(st.sampled_from(Move)))
def test_a_final_state_is_final_whatever_comes(moves: list[Move]) -> None:
    state, final = JobState.QUEUED, None
    for move in moves:
        state = after(state, move) or state
        final = final or (state if state.is_final else None)
        assert final is None or state is final


@given(st.sampled_from(JobState), st.sampled_from(Move))
def test_every_living_job_can_be_ended_and_none_goes_back(state: JobState, move: Move) -> None:
    reached = after(state, move)
    assert reached is not JobState.QUEUED
    assert (reached is None) == (state.is_final or (state, move) == (JobState.RUNNING, Move.START))
