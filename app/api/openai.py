"""OpenAI's fine-tuning API over our jobs: the official client needs another base URL and nothing else."""

import re
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

import anyio.to_thread
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.api.body import json_body
from app.api.entrance import Entrance
from app.api.errors import FieldError, Problem, bad_fields, field_errors, not_found
from app.api.finetune import Ingest
from app.api.listing import page, page_of
from app.contract.directory import PlatformEntry
from app.contract.job import FinetuneRequest, JobState
from app.directory import Directory
from app.jobs.admission import FILE_ID
from app.store.jobs import Job, Jobs

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


class FineTuning:
    """`/v1/fine_tuning/jobs` and below, but for the events."""

    def __init__(self, *, entrance: Entrance, ingest: Ingest, directory: Directory, jobs: Jobs) -> None:
        self._entrance = entrance
        self._ingest = ingest
        self._directory = directory
        self._jobs = jobs

    async def create(self, request: Request) -> Response:
        visitor = self._entrance.admit(request)
        wanted = _read(await json_body(request))
        try:
            accepted = await self._ingest.accept(wanted, visitor, request.headers)
        except Problem as problem:
            raise _in_their_words(problem) from problem
        return self._answer(accepted.job)

    async def retrieve(self, request: Request) -> Response:
        visitor = self._entrance.admit(request)
        job = await anyio.to_thread.run_sync(self._jobs.get, visitor.tenant.id, request.path_params["job"])
        if job is None:
            raise not_found("job")
        return self._answer(job)

    async def cancel(self, request: Request) -> Response:
        """A job that has ended stays as it ended: 409."""
        visitor = self._entrance.admit(request)
        job = await anyio.to_thread.run_sync(self._jobs.cancel, visitor.tenant.id, request.path_params["job"])
        if job is None:
            raise not_found("job")
        if job.state is not JobState.CANCELLED:
            raise Problem(409, "job_ended", f"the job has {job.state}; nothing is left to cancel", permanent=True)
        return self._answer(job)

    async def list(self, request: Request) -> Response:
        visitor = self._entrance.admit(request)
        wanted = page_of(request)
        metadata = {
            key.removeprefix("metadata[").removesuffix("]"): value
            for key, value in request.query_params.items()
            if key.startswith("metadata[")
        }

        def read() -> list[Job]:
            return self._jobs.list(visitor.tenant.id, after=wanted.after, limit=wanted.limit + 1, metadata=metadata)

        jobs = await anyio.to_thread.run_sync(read)
        platform = self._directory.platform
        return page([job_object(job, platform) for job in jobs], limit=wanted.limit)

    def _answer(self, job: Job) -> Response:
        return JSONResponse(job_object(job, self._directory.platform))


class Models:
    """`/v1/models`: what `model` may name, and the versions that users get."""

    def __init__(self, *, entrance: Entrance, directory: Directory) -> None:
        self._entrance = entrance
        self._directory = directory

    async def list(self, request: Request) -> Response:
        tenant = self._entrance.admit(request).tenant
        owners = dict.fromkeys(self._directory.platform.catalogue, "platform")
        for name, record in tenant.models.items():
            versions = (version for version in (record.stable, record.canary) if version)
            owners |= dict.fromkeys((name, *versions), tenant.id)
        # the directory holds no dates; 0 says so without breaking a client that wants a number
        models = [{"id": name, "object": "model", "created": 0, "owned_by": owner} for name, owner in owners.items()]
        return page(models, limit=len(models))


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


def _read(body: bytes) -> FinetuneRequest:
    try:
        return CreateJob.model_validate_json(body).to_request()
    except ValidationError as error:
        raise bad_fields(map(_renamed, field_errors(error))) from error


def _in_their_words(problem: Problem) -> Problem:
    if problem.status != 400:  # noqa: PLR2004
        return problem
    return bad_fields(map(_renamed, problem.errors))


def _renamed(error: FieldError) -> FieldError:
    return replace(error, place=tuple(_FIELDS.get(step, step) for step in error.place))


def _file(url: str | None) -> str | None:
    """The id of an uploaded file, from its key; another dataset keeps its URL."""
    match = _UPLOADED.fullmatch(url or "")
    return match.group(1) if match else url


def _unix(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment else None


def _whole(figure: str | float | None) -> int | None:
    """The store keeps figures as floats; clients read a count."""
    return int(figure) if isinstance(figure, int | float) else None
