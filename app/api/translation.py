"""OpenAI's words for a job and ours: their request read as our own, our job shown as theirs."""

import re
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from app.api.errors import FieldError, Problem, bad_fields, field_errors
from app.contract.directory import PlatformEntry
from app.contract.job import FinetuneRequest, JobState
from app.jobs.admission import FILE_ID
from app.store.jobs import Job

# Our field -> OpenAI's, for the errors of rules that both APIs share.
_FIELDS = {
    "modelId": "model",
    "datasetUrl": "training_file",
    "evaluationUrl": "validation_file",
    "epochs": "n_epochs",
}
_UPLOADED = re.compile(rf"s3://[^/]+/datasets/({FILE_ID.pattern})-[^/]*")
_AUTO = "auto"


def _none_for_auto(value: object) -> object:
    return None if value == _AUTO else value


def _auto_alone(value: object) -> object:
    if value is not None and value != _AUTO:
        raise ValueError("must be auto, the recipe decides it; POST /api/finetune takes a learningRate")
    return value


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tunables(_Body):
    """`hyperparameters`; rates and batch sizes are the recipe's."""

    n_epochs: Annotated[int | None, BeforeValidator(_none_for_auto)] = None
    batch_size: Annotated[object, AfterValidator(_auto_alone)] = _AUTO
    learning_rate_multiplier: Annotated[object, AfterValidator(_auto_alone)] = _AUTO


class Supervised(_Body):
    """`method.supervised`."""

    hyperparameters: Tunables = Tunables()


class Method(_Body):
    """`method`: how the model is tuned."""

    type: Literal["supervised"]
    supervised: Supervised = Supervised()


class CreateJob(_Body):
    """Body of `POST /v1/fine_tuning/jobs`."""

    model: str
    training_file: str
    validation_file: str | None = None
    suffix: str | None = None
    seed: int | None = None
    metadata: dict[str, str] | None = None
    hyperparameters: Tunables | None = Field(None, description="OpenAI's older place of method.supervised's")
    method: Method | None = None
    integrations: tuple[()] | None = Field(None, description="none are offered")

    @property
    def tunables(self) -> Tunables:
        if self.method is not None:
            return self.method.supervised.hyperparameters
        return self.hyperparameters or Tunables()

    def to_request(self) -> FinetuneRequest:
        """The same job in our own words. Raises ValidationError, in our words too."""
        return FinetuneRequest.model_validate(
            {
                "modelId": self.model,
                "datasetUrl": self.training_file,
                "evaluationUrl": self.validation_file,
                "suffix": self.suffix,
                "seed": self.seed or 0,
                "metadata": self.metadata or {},
                "hyperparameters": {"epochs": self.tunables.n_epochs},
            }
        )


def wanted_of(body: bytes) -> FinetuneRequest:
    """Body of `POST /v1/fine_tuning/jobs`. Raises Problem 400 with every field, in OpenAI's words."""
    try:
        return CreateJob.model_validate_json(body).to_request()
    except ValidationError as error:
        raise bad_fields(map(_renamed, field_errors(error))) from error


def in_their_words(problem: Problem) -> Problem:
    """A refusal of the rules that both APIs share, with the fields as OpenAI's client knows them."""
    if problem.status != 400:  # noqa: PLR2004
        return problem
    return bad_fields(map(_renamed, problem.errors))


def _renamed(error: FieldError) -> FieldError:
    return replace(error, place=tuple(_FIELDS.get(step, step) for step in error.place))


def job_object(job: Job, platform: PlatformEntry) -> dict[str, Any]:
    """A job as OpenAI's client reads it; `traceparent` and `attempt` are ours."""
    training = job.envelope.training
    bases = (name for name, entry in platform.catalogue.items() if entry.digest == training.base_digest)
    tunables = {
        "n_epochs": training.hyperparameters.epochs or _AUTO,
        "batch_size": _AUTO,
        "learning_rate_multiplier": _AUTO,
    }
    return {
        "id": job.id,
        "object": "fine_tuning.job",
        "created_at": _unix(job.created_at),
        "finished_at": _unix(job.finished_at),
        "estimated_finish": None,
        "status": job.state,
        "model": next(bases, training.model),
        "fine_tuned_model": training.version if job.state is JobState.SUCCEEDED else None,
        "organization_id": job.tenant,
        "training_file": _file(training.data),
        "validation_file": _file(training.evaluation),
        "result_files": [],
        "trained_tokens": _whole(job.numbers.get("tokens")),
        "seed": training.seed,
        "hyperparameters": tunables,
        "method": {"type": "supervised", "supervised": {"hyperparameters": tunables}},
        "integrations": [],
        "metadata": job.envelope.metadata,
        "error": {"code": "job_failed", "message": job.error, "param": None} if job.error else None,
        "attempt": job.attempt,
        "traceparent": job.traceparent,
    }


def _file(url: str | None) -> str | None:
    """The id of an uploaded file, from its key; another dataset keeps its URL."""
    match = _UPLOADED.fullmatch(url or "")
    return match.group(1) if match else url


def _unix(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment else None


def _whole(figure: str | float | None) -> int | None:
    """The store keeps figures as floats; clients read a count."""
    return int(figure) if isinstance(figure, int | float) else None
