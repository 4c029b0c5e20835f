"""The state machine of a job: one pure function. The store guards each move by state and version."""

from enum import StrEnum

from app.contract.job import JobState


class Move(StrEnum):
    """What can happen to a job."""

    START = "start"  # its workflow runs
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"


_MOVES = {
    (JobState.QUEUED, Move.START): JobState.RUNNING,
    (JobState.QUEUED, Move.SUCCEED): JobState.SUCCEEDED,  # a short workflow can end between two looks at it
    (JobState.QUEUED, Move.FAIL): JobState.FAILED,
    (JobState.QUEUED, Move.CANCEL): JobState.CANCELLED,
    (JobState.RUNNING, Move.SUCCEED): JobState.SUCCEEDED,
    (JobState.RUNNING, Move.FAIL): JobState.FAILED,
    (JobState.RUNNING, Move.CANCEL): JobState.CANCELLED,
}


def after(state: JobState, move: Move) -> JobState | None:
    """The state that `move` leads to, or None where it leads nowhere: a final state is final."""
    return _MOVES.get((state, move))
