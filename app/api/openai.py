"""OpenAI's fine-tuning API over our jobs: the official client needs another base URL and nothing else."""

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.api.body import json_body
from app.api.entrance import Entrance
from app.api.errors import Problem, not_found
from app.api.finetune import Ingest
from app.api.listing import page, page_of
from app.api.translation import in_their_words, job_object, wanted_of
from app.contract.job import JobState
from app.directory import Directory
from app.store.jobs import Job, Jobs


class FineTuning:
    """`/v1/fine_tuning/jobs` and below, but for the events."""

    def __init__(self, *, entrance: Entrance, ingest: Ingest, directory: Directory, jobs: Jobs) -> None:
        self._entrance = entrance
        self._ingest = ingest
        self._directory = directory
        self._jobs = jobs

    async def create(self, request: Request) -> Response:
        visitor = self._entrance.admit(request)
        wanted = wanted_of(await json_body(request))
        try:
            accepted = await self._ingest.accept(wanted, visitor, request.headers)
        except Problem as problem:
            raise in_their_words(problem) from problem
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
        owners = {name: "platform" for name in self._directory.platform.catalogue if name in tenant.bases}
        for name, record in tenant.models.items():
            versions = (version for version in (record.stable, record.canary) if version)
            owners |= dict.fromkeys((name, *versions), tenant.id)
        # the directory holds no dates; 0 says so without breaking a client that wants a number
        models = [{"id": name, "object": "model", "created": 0, "owned_by": owner} for name, owner in owners.items()]
        return page(models, limit=len(models))
