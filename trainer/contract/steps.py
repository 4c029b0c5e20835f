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
# A search for hyperparameters has these in the place of `train`. `search` reads what the trials so far reported and
# asks for a round of further ones; once it asks for none, the best one's adapter stands where `train` leaves its own.
SEARCH = Step("search")
TRIAL = Step("trial", needs_gpu=True, resumable=True, retries=3)
# The stable version of a model, again over the held-out rows of the job that made it.
DRIFT = Step("drift", needs_gpu=True)

# What `search` leaves below WORK: the number of the round's first trial, and how many there are (0: none are left).
ROUND_FIRST = "round/first"
ROUND_TRIALS = "round/trials"

# Environment of every step; values are never interpolated into a command or a manifest.
JOB = "TENON_JOB"  # base64url JSON of TrainingJob
ATTEMPT = "TENON_ATTEMPT"  # number of the attempt, from 1
BUCKET_URL = "TENON_BUCKET_URL"  # s3://<bucket> of the tenant, or a folder
FOLDER = "TENON_FOLDER"  # a folder of this machine in the place of the attempt's; ATTEMPT and BUCKET_URL are not needed
MODELS_URL = "TENON_MODELS_URL"  # s3://<prefix>-models, or a folder; read only
S3_URL = "TENON_S3_URL"  # endpoint of the object store; AWS's own when absent
MODELS_S3_URL = "TENON_MODELS_S3_URL"  # the models bucket's own endpoint, asked without a key; S3_URL when absent
WORK = "TENON_WORK"  # scratch folder of this attempt
# Any value: where there is no GPU at all, a recipe for GPUs runs on the CPU as one rank. A laptop's stand-in for a
# cluster says so, which has to run the tenants' own recipes; a pod without its GPUs is refused.
WITHOUT_GPUS = "TENON_WITHOUT_GPUS"
# Where progress is POSTed (KubeflowCallback form); absent: nowhere. The step puts its job and attempt in the place of
# `{job}` and `{attempt}`, since nobody else can read the job.
STATUS_URL = "TENON_STATUS_URL"
STATUS_TOKEN_FILE = "TENON_STATUS_TOKEN_FILE"  # noqa: S105 - path of the bearer token, not the token
TRACEPARENT = "TENON_TRACEPARENT"  # W3C trace context of the request; Argo overwrites the plain name
# Where the numbers of a run are shown. All absent: on the terminal, in metrics.jsonl and at STATUS_URL alone.
METRICS_PORT = "TENON_METRICS_PORT"  # rank 0 serves Prometheus' text form there
PUSHGATEWAY_URL = "TENON_PUSHGATEWAY_URL"  # for pods that end before they are scraped
TRACKERS = "TENON_TRACKERS"  # of wandb, mlflow, tensorboard, by comma; each reads its own variables
# What a published version states of its making, and who vouches for it.
IMAGE = "TENON_IMAGE"  # reference of the trainer's image, by digest
COMMIT = "TENON_COMMIT"  # of the trainer's code; set when the image is built
SIGNING_KEY_FILE = "TENON_SIGNING_KEY_FILE"  # PEM of an Ed25519 or ECDSA P-256 private key
SIGNING_COMMAND = "TENON_SIGNING_COMMAND"  # a KMS: reads the payload on stdin, writes the signature to stdout
JUDGE_KEY_FILE = "TENON_JUDGE_KEY_FILE"  # bearer key of the judge of answers, where it wants one
# What a watt-hour costs the climate: grams of CO2 per kWh of the grid, and the data centre's overhead.
GRID_GRAMS_PER_KWH = "TENON_GRID_GRAMS_PER_KWH"
POWER_USAGE_EFFECTIVENESS = "TENON_PUE"

TRIAL_NUMBER = "TENON_TRIAL"  # of a trial: its number, from 0; what `search` proposed stands in the attempt's folder
VERSION = "TENON_VERSION"  # of a drift evaluation, in the place of job and attempt: base64url JSON of ServedVersion

# Ranks, in torchrun's own names, because Kubeflow Trainer sets the same ones. Each pod runs one process of ours, the
# command above, which starts RANKS_PER_NODE ranks itself and ends with their exit code: torchrun would make 1 of every
# code, and a stopped run would be taken for a failed one. Absent: one rank. With one node the ranks meet on localhost,
# whatever the address says.
NODES = "PET_NNODES"  # pods
NODE_RANK = "PET_NODE_RANK"  # number of this pod, from 0
RANKS_PER_NODE = "PET_NPROC_PER_NODE"
MASTER_ADDRESS = "PET_MASTER_ADDR"  # pod 0
MASTER_PORT = "PET_MASTER_PORT"
