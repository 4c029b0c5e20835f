"""The pipeline as a table: what runs, where, and what its exit codes mean.

The Workflow template, the JobSet's failure policy, LocalWorkflows and `trainer/__main__` all derive from here.
"""

from dataclasses import dataclass
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of a step. A stopped or killed step never exits 0."""

    DONE = 0
    FAILED = 1  # retried a bounded number of times
    BAD_INPUT = 2  # final: the same input fails again
    STOPPED = 75  # a checkpoint was saved; resume (EX_TEMPFAIL of sysexits.h)
    KILLED = 143  # no checkpoint could be saved; resume from an older one (128 + SIGTERM)

    @property
    def is_resumed(self) -> bool:
        """Whether the step is to be started again without counting as a failure."""
        return self in {Exit.STOPPED, Exit.KILLED}


@dataclass(frozen=True)
class Step:
    """One process of the pipeline.

    needs_gpu: runs as a queue-labelled JobSet under the account `trainer`; else as a plain container under `step`.
    resumable: continues from its newest complete checkpoint when it is started again.
    retries: how often exit code 1 is tried again.
    """

    name: str
    needs_gpu: bool = False
    resumable: bool = False
    retries: int = 2

    @property
    def command(self) -> tuple[str, ...]:
        return ("python", "-m", "trainer", self.name)


PIPELINE = (
    Step("prepare"),
    Step("train", needs_gpu=True, resumable=True, retries=3),
    Step("evaluate", needs_gpu=True),
    Step("publish"),
)

# Environment of every step; values are never interpolated into a command or a manifest.
JOB = "TENON_JOB"  # base64url JSON of TrainingJob
ATTEMPT = "TENON_ATTEMPT"  # number of the attempt, from 1
BUCKET_URL = "TENON_BUCKET_URL"  # s3://<bucket> of the tenant, or a folder
MODELS_URL = "TENON_MODELS_URL"  # s3://<prefix>-models, or a folder; read only
S3_URL = "TENON_S3_URL"  # endpoint of the object store; AWS's own when absent
MODELS_S3_URL = "TENON_MODELS_S3_URL"  # endpoint of the models bucket where it has its own; S3_URL when absent
WORK = "TENON_WORK"  # scratch folder of this attempt
# Where progress is POSTed (KubeflowCallback form); absent: nowhere. The step puts its job and attempt in the place of
# `{job}` and `{attempt}`, since nobody else can read the job.
STATUS_URL = "TENON_STATUS_URL"
STATUS_TOKEN_FILE = "TENON_STATUS_TOKEN_FILE"  # noqa: S105 - path of the bearer token, not the token
TRACEPARENT = "TENON_TRACEPARENT"  # W3C trace context of the request; Argo overwrites the plain name
