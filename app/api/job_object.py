"""A job as OpenAI's client reads it, with what is ours after it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from app.api.shapes import Auto, JobError, JobObject, Money, Preference, PreferenceTunables, Queue, Supervised, Tunables
from app.contract.directory import PlatformEntry
from app.contract.job import JobState
from app.jobs.admission import FILE_ID
from app.jobs.causes import Cause
from app.store.jobs import Job
from trainer.contract.recipe import Hyperparameters

RESULT = "result-"  # and a job's id: the id of the file with its figures
UNKNOWN_CAUSE = "job_failed"
_UPLOADED = re.compile(rf"s3://[^/]+/datasets/({FILE_ID.pattern})-[^/]*")
_AUTO: Auto = "auto"
# What a failure was about, where one member of the request is to blame.
_BLAMED = {Cause.BAD_INPUT.value: "training_file"}


@dataclass(frozen=True)
class Details:
    """What the row of a job does not hold."""

    queue: Queue | None = None
    cost: Money | None = None


def job_object(job: Job, platform: PlatformEntry, details: Details | None = None) -> JobObject:
    training, known = job.envelope.training, details or Details()
    asked = training.hyperparameters
    has_succeeded = job.state is JobState.SUCCEEDED
    return {
        "id": job.id,
        "object": "fine_tuning.job",
        "created_at": int(job.created_at.timestamp()),
        "finished_at": _unix(job.finished_at),
        "estimated_finish": _estimated_finish(job),
        "status": job.state.value,
        "model": _bases(platform).get(training.base_digest or "", training.model),
        "fine_tuned_model": training.version if has_succeeded else None,
        "organization_id": job.tenant,
        "training_file": file_of(training.data),
        "validation_file": file_of(training.evaluation) if training.evaluation else None,
        "result_files": [f"{RESULT}{job.id}"] if has_succeeded else [],
        "trained_tokens": _whole(job.numbers.get("tokens")) if has_succeeded else None,
        "seed": training.seed,
        "hyperparameters": _tunables(asked),
        "method": _method(asked),
        "integrations": [],
        "metadata": job.envelope.metadata,
        "error": _error(job),
        "attempt": job.attempt,
        "progress": _number(job.numbers, "progressPercentage"),
        "traceparent": job.traceparent,
        "queue": known.queue,
        "cost": known.cost,
    }


def file_of(url: str) -> str:
    """The id of an uploaded file, from its key; another dataset keeps its URL."""
    match = _UPLOADED.fullmatch(url)
    return match.group(1) if match else url


def _bases(platform: PlatformEntry) -> dict[str, str]:
    """Name by digest; the first of several."""
    return {entry.digest: name for name, entry in reversed(platform.catalogue.items())}


def _tunables(asked: Hyperparameters) -> Tunables:
    return {
        "n_epochs": asked.epochs or _AUTO,
        "batch_size": asked.batch_rows or _AUTO,
        "learning_rate_multiplier": asked.learning_rate_multiplier or _AUTO,
    }


def _method(asked: Hyperparameters) -> Supervised | Preference:
    tunables = _tunables(asked)
    if asked.objective != "dpo":
        return {"type": "supervised", "supervised": {"hyperparameters": tunables}}
    preference: PreferenceTunables = {**tunables, "beta": asked.beta or _AUTO}
    return {"type": "dpo", "dpo": {"hyperparameters": preference}}


def _error(job: Job) -> JobError | None:
    """Of failed jobs alone: a retried one goes on without its former error."""
    if job.state is not JobState.FAILED:
        return None
    code = job.error_code or UNKNOWN_CAUSE
    return {"code": code, "message": job.error or "the job failed and said nothing", "param": _BLAMED.get(code)}


def _estimated_finish(job: Job) -> int | None:
    """From the last report of a running job."""
    remaining = _number(job.numbers, "estimatedRemainingSeconds")
    if job.state is not JobState.RUNNING or remaining is None:
        return None
    return int(datetime.now(UTC).timestamp() + remaining)


def _unix(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment else None


def _number(numbers: Mapping[str, str | float], name: str) -> float | None:
    figure = numbers.get(name)
    return float(figure) if isinstance(figure, int | float) else None


def _whole(figure: str | float | None) -> int | None:
    """The store keeps figures as floats; clients read a count."""
    return int(figure) if isinstance(figure, int | float) else None
