"""What a Workflow is told: a job id's worth of base64url, numbers and a trace; never text of a tenant."""

from typing import Protocol

from app.contract.internal import ATTEMPT_PARAMETER, JOB_PARAMETER, SLOT_PARAMETER, TRACEPARENT_PARAMETER
from app.contract.job import JobEnvelope


class OfEnvelope(Protocol):
    """A job as far as its workflow must know it."""

    @property
    def envelope(self) -> JobEnvelope: ...


class OfAttempt(Protocol):
    """An attempt as far as its workflow must know it."""

    @property
    def job(self) -> OfEnvelope: ...

    @property
    def number(self) -> int: ...

    @property
    def slot(self) -> int | None: ...


def parameters(attempt: OfAttempt, *, traceparent: str) -> dict[str, str]:
    """Parameters of the attempt's workflow. A slot has only who has isolation `hard`: other templates know none."""
    made = {
        JOB_PARAMETER: attempt.job.envelope.training.to_parameter(),
        ATTEMPT_PARAMETER: str(attempt.number),
        TRACEPARENT_PARAMETER: traceparent,
    }
    return made if attempt.slot is None else {**made, SLOT_PARAMETER: str(attempt.slot)}
