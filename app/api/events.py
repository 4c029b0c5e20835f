"""The history of a job in OpenAI's shape, oldest first, so that `after` follows a running job."""

import re
from functools import partial

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.api.entrance import Entrance
from app.api.errors import FieldError, bad_fields, not_found
from app.api.listing import page, page_of
from app.store.jobs import JobEvent, Jobs

_CURSOR = re.compile(r"ftevent-([0-9]{1,18})")


class Events:
    """`GET /v1/fine_tuning/jobs/{job}/events`."""

    def __init__(self, *, entrance: Entrance, jobs: Jobs) -> None:
        self._entrance = entrance
        self._jobs = jobs

    def routes(self) -> list[Route]:
        return [Route("/v1/fine_tuning/jobs/{job}/events", self.list, methods=["GET"])]

    async def list(self, request: Request) -> Response:
        tenant, job = self._entrance.admit(request).tenant.id, request.path_params["job"]
        wanted = page_of(request)
        if await anyio.to_thread.run_sync(self._jobs.get, tenant, job) is None:
            raise not_found("job")
        read = partial(self._jobs.events, tenant, job, after=_cursor(wanted.after), limit=wanted.limit + 1)
        found = await anyio.to_thread.run_sync(read)
        return page([event_object(event) for event in found], limit=wanted.limit)


def event_object(event: JobEvent) -> dict[str, object]:
    return {
        "id": f"ftevent-{event.id}",
        "object": "fine_tuning.job.event",
        "created_at": int(event.created_at.timestamp()),
        "level": event.level,
        "message": event.message,
        "type": event.type,
        "data": event.data,
    }


def _cursor(after: str | None) -> int | None:
    if after is None:
        return None
    if (match := _CURSOR.fullmatch(after)) is None:
        raise bad_fields([FieldError(("after",), "invalid", "must be the id of an event of this job", in_body=False)])
    return int(match.group(1))
