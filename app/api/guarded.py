"""What stands around every route: the entrance, the audit, and an answer whatever happens inside."""

import logging
from collections.abc import Awaitable, Callable
from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.api.correlation import correlation_of
from app.api.entrance import Entrance, Visitor
from app.api.errors import FieldError, bad_fields, not_found, problem_of
from app.audit import Trail
from app.store.engine import StoreUnavailable

READS = frozenset({"GET", "HEAD", "OPTIONS"})
_FAULT = 500  # statuses from here on are ours

_log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]


class Guarded:
    """One route as an ASGI application.

    A request that changes something is in the audit before it is answered, refused ones too. Those that nobody sent
    whom we know are not (401, 429): they change nothing, and anybody could fill the disk with them.
    """

    def __init__(self, endpoint: Endpoint, *, path: str, entrance: Entrance, trail: Trail) -> None:
        self._endpoint = endpoint
        self._path = path
        self._entrance = entrance
        self._trail = trail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, visitor, reason = Request(scope, receive), None, None
        try:
            _refuse_nul(scope)
            visitor = await self._entrance.enter(request)
            response = await self._endpoint(request)
        except Exception as error:  # noqa: BLE001 - every fault has an answer
            problem = problem_of(error)
            if problem.status == _FAULT:
                _log.error("a fault of the service", exc_info=error)
            reason, response = problem.code, problem.response(scope["path"])
        if visitor is not None:
            response.headers.update(visitor.standing.fields())
            if scope["method"] not in READS:
                await self._note(scope, visitor, response, reason)
        if scope["method"] == "HEAD":
            response = _without_body(response)
        await response(scope, receive, send)

    async def _note(self, scope: Scope, visitor: Visitor, response: Response, reason: str | None) -> None:
        status, found = response.status_code, correlation_of(scope)
        try:
            await self._trail.note(
                actor=visitor.caller.actor,
                tenant=visitor.tenant.id,
                action=f"{scope['method']} {self._path}",
                resource=response.headers.get("location") or scope["path"],
                outcome="done" if status < 400 else "refused" if status < _FAULT else "failed",  # noqa: PLR2004
                reason=reason,
                request_id=found.request_id,
                trace_id=found.trace_id,
                client=scope["client"][0] if scope.get("client") else None,
            )
        except StoreUnavailable as error:  # what was done is done; the record is kept where there is still room
            _log.error("the audit has no room for this record: %s", error)


def _refuse_nul(scope: Scope) -> None:
    """PostgreSQL keeps no such character, and no name of ours holds one."""
    if "\0" in scope["path"]:
        raise not_found("path")
    if b"%00" in scope["query_string"] and b"\0" in unquote_to_bytes(scope["query_string"]):
        raise bad_fields([FieldError(("query",), "invalid", "holds a NUL character; leave it out", in_body=False)])


def _without_body(response: Response) -> Response:
    """The head alone, also of an answer that would go on for ever."""
    head = Response(status_code=response.status_code, background=response.background)
    head.raw_headers = response.raw_headers
    return head
