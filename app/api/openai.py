"""OpenAI's fine-tuning API over our jobs: the official client needs another base URL and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.api.body import json_body
from app.api.entrance import Entrance, Visitor
from app.api.errors import Problem, not_found
from app.api.finetune import Ingest
from app.api.following import Followers, looks, wait_seconds
from app.api.job_object import Details, job_object
from app.api.listing import page, page_of
from app.api.translation import asked_of
from app.contract.job import JobState
from app.directory import Directory
from app.store.jobs import Job, Jobs

JOBS = "/v1/fine_tuning/jobs"

DetailsOf = Callable[[Job], Details]  # reads the store


@dataclass(frozen=True)
class Seen:
    """A job as one answer shows it."""

    job: Job
    details: Details

    @property
    def tag(self) -> str:
        """Weak ETag (RFC 9110): the row's version, and the place in the queue, which others change."""
        queue = self.details.queue
        return f'W/"{self.job.version}-{queue["position"] or 0}"' if queue else f'W/"{self.job.version}"'


class FineTuning:
    """`/v1/fine_tuning/jobs` and the moves of a job."""

    def __init__(
        self, *, entrance: Entrance, ingest: Ingest, directory: Directory, jobs: Jobs, details: DetailsOf
    ) -> None:
        self._entrance = entrance
        self._ingest = ingest
        self._directory = directory
        self._jobs = jobs
        self._details = details
        self._followers = Followers()

    def routes(self) -> list[Route]:
        one = f"{JOBS}/{{job}}"
        return [
            Route(JOBS, self.create, methods=["POST"]),
            Route(JOBS, self.list, methods=["GET"]),
            Route(one, self.retrieve, methods=["GET"]),
            Route(f"{one}/cancel", self.cancel, methods=["POST"]),
            Route(f"{one}/pause", self.pause, methods=["POST"]),
            Route(f"{one}/resume", self.resume, methods=["POST"]),
        ]

    async def create(self, request: Request) -> Response:
        visitor = self._entrance.admit(request)
        asked = asked_of(await json_body(request))
        try:
            accepted = await self._ingest.accept(asked.to_request(), visitor, request.headers)
        except Problem as problem:
            raise asked.in_their_words(problem) from problem
        details = await anyio.to_thread.run_sync(self._details, accepted.job)
        return self._answer(Seen(accepted.job, details), headers={"Location": f"{JOBS}/{accepted.job.id}"})

    async def retrieve(self, request: Request) -> Response:
        """At once, or with `Prefer: wait` when the job differs from what the client knows; 304 where it does not."""
        visitor, seconds = self._entrance.admit(request), wait_seconds(request)
        known = request.headers.get("if-none-match")
        read = self._reader(visitor, request.path_params["job"])
        seen = await anyio.to_thread.run_sync(read)
        if seconds and not seen.job.state.is_final and known in {None, seen.tag}:
            seen = await self._changed(seen, read, tenant=visitor.tenant.id, seconds=seconds)
        headers = {"Preference-Applied": f"wait={seconds}"} if seconds else {}
        if known == seen.tag:
            return Response(status_code=304, headers={"ETag": seen.tag, **headers})
        return self._answer(seen, headers=headers)

    async def _changed(self, seen: Seen, read: Callable[[], Seen], *, tenant: str, seconds: int) -> Seen:
        now = seen
        with self._followers.one(tenant):
            async for now in looks(read, seconds=seconds):
                if now.tag != seen.tag:
                    break
        return now

    def _reader(self, visitor: Visitor, job: str) -> Callable[[], Seen]:
        def read() -> Seen:
            found = self._jobs.get(visitor.tenant.id, job)
            if found is None:
                raise not_found("job")
            return Seen(found, self._details(found))

        return read

    async def cancel(self, request: Request) -> Response:
        """A job that has ended stays as it ended: 409."""
        return await self._move(request, self._jobs.cancel, {JobState.CANCELLED}, "cancel")

    async def pause(self, request: Request) -> Response:
        """The workflow is stopped with a checkpoint; the job goes on from it when it is resumed."""
        return await self._move(request, self._jobs.pause, {JobState.PAUSING, JobState.PAUSED}, "pause")

    async def resume(self, request: Request) -> Response:
        """The job waits for its next attempt."""
        return await self._move(request, self._jobs.resume, {JobState.QUEUED, JobState.RUNNING}, "resume")

    async def _move(
        self, request: Request, move: Callable[[str, str], Job | None], wanted: set[JobState], verb: str
    ) -> Response:
        visitor = self._entrance.admit(request)
        job = await anyio.to_thread.run_sync(move, visitor.tenant.id, request.path_params["job"])
        if job is None:
            raise not_found("job")
        if job.state not in wanted:
            code = "job_ended" if job.state.is_final else "job_state"
            raise Problem(409, code, f"the job is {job.state}; there is nothing to {verb}", permanent=True)
        details = await anyio.to_thread.run_sync(self._details, job)
        return self._answer(Seen(job, details))

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

    def _answer(self, seen: Seen, *, headers: dict[str, str] | None = None) -> Response:
        body = job_object(seen.job, self._directory.platform, seen.details)
        return JSONResponse(body, headers={"ETag": seen.tag, **(headers or {})})
