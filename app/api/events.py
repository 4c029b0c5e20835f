"""The history of a job in OpenAI's shape, oldest first: as pages, or as a stream that goes on while the job does."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from functools import partial

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.api.entrance import Entrance
from app.api.errors import not_found
from app.api.following import Followers, looks
from app.api.listing import cursor_of, page, page_of
from app.api.shapes import EventObject
from app.store.jobs import JobEvent, Jobs

EVENTS = "/v1/fine_tuning/jobs/{job}/events"
STREAM = "text/event-stream"
HEARTBEAT_SECONDS = 15.0  # proxies close what is silent for a minute
_BATCH = 200

Batch = tuple[list[JobEvent], bool]  # events, and whether they are the last ones ever


class Events:
    """The route."""

    def __init__(self, *, entrance: Entrance, jobs: Jobs) -> None:
        self._entrance = entrance
        self._jobs = jobs
        self._followers = Followers()

    def routes(self) -> list[Route]:
        return [Route(EVENTS, self.list, methods=["GET"])]

    async def list(self, request: Request) -> Response:
        tenant, job = self._entrance.admit(request).tenant.id, request.path_params["job"]
        wanted = page_of(request)
        after = cursor_of(wanted.after, "ftevent")
        if await anyio.to_thread.run_sync(self._jobs.get, tenant, job) is None:
            raise not_found("job")
        if request.method == "GET" and is_stream(request):
            last = request.headers.get("last-event-id")
            return self._stream(tenant, job, after=cursor_of(last, "ftevent") if last else after)
        read = partial(self._jobs.events, tenant, job, after=after, limit=wanted.limit + 1)
        found = await anyio.to_thread.run_sync(read)
        return page([event_object(event) for event in found], limit=wanted.limit)

    def _stream(self, tenant: str, job: str, *, after: int | None) -> Response:
        """Raises Problem 429 beyond the most streams of a tenant."""
        held = ExitStack()
        held.enter_context(self._followers.one(tenant))

        def read(cursor: int | None) -> Batch:
            """The state first: what a job's end wrote, it wrote before."""
            found = self._jobs.get(tenant, job)
            events = self._jobs.events(tenant, job, after=cursor, limit=_BATCH)
            has_ended = found is None or found.state.is_final
            return events, has_ended and len(events) < _BATCH

        return EventStream(_lines(read, after), held)


class EventStream(StreamingResponse):
    """Gives its place back when it ends, also when the client leaves."""

    def __init__(self, lines: AsyncIterator[str], held: ExitStack) -> None:
        super().__init__(lines, media_type=STREAM, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            await super().__call__(scope, receive, send)


async def _lines(read: Callable[[int | None], Batch], after: int | None) -> AsyncIterator[str]:
    """Server-sent events; each id is a cursor, so that a client that comes again misses none and sees none twice."""
    cursor, spoke_at = after, time.monotonic()

    def look() -> Batch:
        return read(cursor)

    async for events, is_end in looks(look):
        for event in events:
            shown = json.dumps(event_object(event), separators=(",", ":"))
            yield f"id: ftevent-{event.id}\nevent: fine_tuning.job.event\ndata: {shown}\n\n"
        if events:
            cursor, spoke_at = events[-1].id, time.monotonic()
        if is_end:
            yield "data: [DONE]\n\n"
            return
        if time.monotonic() - spoke_at >= HEARTBEAT_SECONDS:
            yield ": the job goes on\n\n"
            spoke_at = time.monotonic()


def event_object(event: JobEvent) -> EventObject:
    return {
        "id": f"ftevent-{event.id}",
        "object": "fine_tuning.job.event",
        "created_at": int(event.created_at.timestamp()),
        "level": event.level,
        "message": event.message,
        "type": event.type,
        "data": event.data,
    }


def is_stream(request: Request) -> bool:
    accepted = (each.partition(";")[0].strip() for each in request.headers.get("accept", "").split(","))
    return request.query_params.get("stream") == "true" or STREAM in accepted
