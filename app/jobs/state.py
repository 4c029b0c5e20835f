"""The state machine of a job: one pure function. The store guards each move by state and version."""

from enum import StrEnum

from app.contract.job import JobState


class Move(StrEnum):
    """What can happen to a job."""

    START = "start"  # its workflow runs
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"
    PAUSE = "pause"  # asked by its caller
    REST = "rest"  # the workflow of a pausing job has ended
    RESUME = "resume"  # asked by its caller: the next attempt goes on from the newest checkpoint
    RETRY = "retry"  # asked by an operator, of a failed job: the same, as a new attempt


_MOVES = {
    (JobState.QUEUED, Move.START): JobState.RUNNING,
    (JobState.QUEUED, Move.SUCCEED): JobState.SUCCEEDED,  # a short workflow can end between two looks at it
    (JobState.QUEUED, Move.FAIL): JobState.FAILED,
    (JobState.QUEUED, Move.CANCEL): JobState.CANCELLED,
    (JobState.QUEUED, Move.PAUSE): JobState.PAUSING,
    (JobState.RUNNING, Move.SUCCEED): JobState.SUCCEEDED,
    (JobState.RUNNING, Move.FAIL): JobState.FAILED,
    (JobState.RUNNING, Move.CANCEL): JobState.CANCELLED,
    (JobState.RUNNING, Move.PAUSE): JobState.PAUSING,
    (JobState.PAUSING, Move.REST): JobState.PAUSED,
    (JobState.PAUSING, Move.SUCCEED): JobState.SUCCEEDED,  # it was done before it could be stopped
    (JobState.PAUSING, Move.FAIL): JobState.FAILED,
    (JobState.PAUSING, Move.CANCEL): JobState.CANCELLED,
    (JobState.PAUSED, Move.RESUME): JobState.QUEUED,
    (JobState.PAUSED, Move.CANCEL): JobState.CANCELLED,
    (JobState.FAILED, Move.RETRY): JobState.QUEUED,
}


def after(state: JobState, move: Move) -> JobState | None:
    """The state that `move` leads to, or None where it leads nowhere: succeeded and cancelled are for good."""
    return _MOVES.get((state, move))
