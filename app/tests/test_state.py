"""The state machine of a job."""

from hypothesis import given
from hypothesis import strategies as st

from app.contract.job import JobState
from app.jobs.state import Move, after


@given(st.lists(st.sampled_from(Move)))
def test_what_succeeded_or_was_cancelled_stays_so_whatever_comes(moves: list[Move]) -> None:
    state, final = JobState.QUEUED, None
    for move in moves:
        state = after(state, move) or state
        final = final or (state if state in {JobState.SUCCEEDED, JobState.CANCELLED} else None)
        assert final is None or state is final


@given(st.sampled_from(JobState))
def test_every_job_that_has_not_ended_can_be_cancelled(state: JobState) -> None:
    assert (after(state, Move.CANCEL) is JobState.CANCELLED) == (not state.is_final)


@given(st.sampled_from(JobState), st.sampled_from(Move))
def test_only_a_pause_or_a_failure_is_gone_back_from(state: JobState, move: Move) -> None:
    if after(state, move) is JobState.QUEUED:
        assert (state, move) in {(JobState.PAUSED, Move.RESUME), (JobState.FAILED, Move.RETRY)}
