"""What the steps of a job say, from the tenant's own bucket: as text, or as a stream that goes on while the job does.

Attempts in their order, steps in the pipeline's, lines as they were said. trainer/log.py writes the parts.
"""

import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from app.api.entrance import Entrance
from app.api.errors import FieldError, bad_fields, not_found
from app.api.events import HEARTBEAT_SECONDS, EventStream, is_stream
from app.api.following import Followers, looks
from app.buckets import Buckets, ObjectMissing
from app.store.jobs import Job, Jobs
from trainer.contract import bucket
from trainer.contract.steps import PIPELINE, SEARCH, TRIAL

LOGS = "/v1/fine_tuning/jobs/{job}/logs"
LOOK_SECONDS = 3.0  # between two looks into the bucket; steps write every 15 seconds
MOST_PART_BYTES = 1 << 20  # a part of ours has 64 KiB; what is larger in a tenant's bucket is not a log
MOST_PARTS = 2000  # of an attempt
_ORDER = [PIPELINE[0].name, SEARCH.name, TRIAL.name, *(step.name for step in PIPELINE[1:])]
_PART = re.compile(rf"({'|'.join(_ORDER)})(?:-([0-9]{{1,6}}))?/([0-9]{{1,15}})/{bucket.LINES}")
_CURSOR = re.compile(rf"([0-9]{{1,6}})\.((?:{'|'.join(_ORDER)})(?:-[0-9]{{1,6}})?)\.([0-9]{{1,15}})")


@dataclass(frozen=True, order=True)
class Step:
    """A step of an attempt, in the order in which logs are read; trials of a search have numbers."""

    attempt: int
    place: int
    number: int = -1

    @classmethod
    def named(cls, attempt: int, name: str) -> "Step":
        stem, _, number = name.partition("-")
        return cls(attempt, _ORDER.index(stem), int(number or -1))

    @property
    def name(self) -> str:
        return _ORDER[self.place] + (f"-{self.number}" if self.number >= 0 else "")


@dataclass(frozen=True, order=True)
class Part:
    """Whole lines of a step; offset: how many bytes it said before them."""

    step: Step
    offset: int
    size: int
    key: str


@dataclass(frozen=True)
class Said:
    """One line; `end` is the step's offset behind it."""

    step: Step
    line: str
    end: int


class JobLogs:
    """The parts in a tenant's bucket."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    def parts(self, of: str, job: Job) -> list[Part]:
        """All there are, in order. Raises BucketUnavailable."""
        found = []
        for attempt in range(1, job.attempt + 1):
            prefix = f"{bucket.attempt(job.id, attempt)}/{bucket.LOG}/"
            for key, size in self._buckets.keys(of, prefix, most=MOST_PARTS):
                if (match := _PART.fullmatch(key.removeprefix(prefix))) and size <= MOST_PART_BYTES:
                    step, number, offset = match.groups()
                    place = Step.named(attempt, step if number is None else f"{step}-{number}")
                    found.append(Part(place, int(offset), size, key))
        return sorted(found)

    def read(self, of: str, part: Part) -> bytes:
        """Nothing where a newer part has taken its place. Raises BucketUnavailable."""
        try:
            return b"".join(self._buckets.read(of, part.key))[:MOST_PART_BYTES]
        except ObjectMissing:
            return b""


class Follower:
    """What of a job's logs one stream has told."""

    def __init__(self, logs: JobLogs, of: str, begin: tuple[Step, int] | None) -> None:
        self._logs, self._of = logs, of
        self._begin = begin
        self._told = {begin[0]: begin[1]} if begin else {}

    def news(self, job: Job) -> list[Said]:
        """The lines since the last call. Raises BucketUnavailable."""
        said: list[Said] = []
        for part in self._logs.parts(self._of, job):
            at = self._told.get(part.step, 0)
            if (self._begin is not None and part.step < self._begin[0]) or part.offset + part.size <= at:
                continue
            content, at = self._logs.read(self._of, part), max(at, part.offset)
            for line in content[at - part.offset :].splitlines(keepends=True):
                at += len(line)
                said.append(Said(part.step, line.decode(errors="replace").rstrip("\n"), at))
            self._told[part.step] = at
        return said


class LogRoutes:
    """The route."""

    def __init__(self, *, entrance: Entrance, jobs: Jobs, buckets: Buckets) -> None:
        self._entrance = entrance
        self._jobs = jobs
        self._logs = JobLogs(buckets)
        self._followers = Followers()

    def routes(self) -> list[Route]:
        return [Route(LOGS, self.read, methods=["GET"])]

    async def read(self, request: Request) -> Response:
        tenant, job = self._entrance.admit(request).tenant, request.path_params["job"]
        begin = _cursor(request.headers.get("last-event-id"))
        found = await anyio.to_thread.run_sync(self._jobs.get, tenant.id, job)
        if found is None:
            raise not_found("job")
        if request.method == "GET" and is_stream(request):
            return self._stream(tenant.id, tenant.bucket, job, begin)
        parts = await anyio.to_thread.run_sync(self._logs.parts, tenant.bucket, found)
        text = (self._logs.read(tenant.bucket, part) for part in parts)
        return StreamingResponse(text, media_type="text/plain", headers={"Cache-Control": "no-store"})

    def _stream(self, tenant: str, of: str, job: str, begin: tuple[Step, int] | None) -> Response:
        """Raises Problem 429 beyond the most streams of a tenant."""
        held, follower = ExitStack(), Follower(self._logs, of, begin)
        held.enter_context(self._followers.one(tenant))
        not_before = 0.0

        def look() -> tuple[list[Said], bool]:
            """The state first: a step's last lines are in the bucket before the job ends."""
            nonlocal not_before
            found = self._jobs.get(tenant, job)
            has_ended = found is None or found.state.is_final
            if found is None or (not has_ended and time.monotonic() < not_before):
                return [], has_ended
            not_before = time.monotonic() + LOOK_SECONDS
            return follower.news(found), has_ended

        return EventStream(_events(look), held)


async def _events(look: Callable[[], tuple[list[Said], bool]]) -> AsyncIterator[str]:
    """Server-sent events; an id is attempt, step and byte offset, after which a client that comes again goes on."""
    spoke_at = time.monotonic()
    async for said, is_end in looks(look):
        for event in _blocks(said):
            yield event
        if is_end:
            yield "data: [DONE]\n\n"
            return
        if said:
            spoke_at = time.monotonic()
        elif time.monotonic() - spoke_at >= HEARTBEAT_SECONDS:
            yield ": the job goes on\n\n"
            spoke_at = time.monotonic()


def _blocks(said: list[Said]) -> Iterator[str]:
    for one in said:
        shown = json.dumps({"attempt": one.step.attempt, "step": one.step.name, "line": one.line})
        yield f"id: {one.step.attempt}.{one.step.name}.{one.end}\nevent: log\ndata: {shown}\n\n"


def _cursor(last: str | None) -> tuple[Step, int] | None:
    """Raises Problem 400."""
    if not last:
        return None
    if (match := _CURSOR.fullmatch(last)) is None:
        text = "must be the id of an event of this stream: <attempt>.<step>.<offset>"
        raise bad_fields([FieldError(("Last-Event-ID",), "invalid", text, in_body=False)])
    return Step.named(int(match[1]), match[2]), int(match[3])
