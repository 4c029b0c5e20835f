"""What a Workflow is told: a job id's worth of base64url, a number and a trace; never text of a tenant."""

from app.contract.internal import ATTEMPT_PARAMETER, JOB_PARAMETER, TRACEPARENT_PARAMETER
from app.contract.job import JobEnvelope


def parameters(envelope: JobEnvelope, *, attempt: int, traceparent: str) -> dict[str, str]:
    """Parameters of the workflow that is attempt number `attempt` of the job."""
    return {
        JOB_PARAMETER: envelope.training.to_parameter(),
        ATTEMPT_PARAMETER: str(attempt),
        TRACEPARENT_PARAMETER: traceparent,
    }
