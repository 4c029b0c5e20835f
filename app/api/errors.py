"""Which problem (problem.py) a fault is answered with: of the request, of a component, or of ours."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Router

from app.api.problem import FieldError, Problem
from app.broker.queue import BrokerUnavailable
from app.buckets import BucketUnavailable, ObjectMissing
from app.identity.caller import IssuerUnavailable, Unauthenticated
from app.store.engine import StoreUnavailable

RETRY_SECONDS = 5  # after an outage of a component
_NAME_LENGTH = 80  # a longer key of the body is cut in the answer

_log = logging.getLogger(__name__)
_CODES = {"missing": "missing", "extra_forbidden": "unknown_field", "json_invalid": "json_invalid"}
_TEXTS = {"missing": "is missing; it is mandatory", "extra_forbidden": "is no field here; remove it"}


def bad_fields(errors: Iterable[FieldError]) -> Problem:
    """400 with every field; the detail repeats the texts for clients that show nothing else."""
    found = tuple(errors)
    detail = "; ".join(f"{error.field or 'the body'}: {error.detail}" for error in found)
    return Problem(400, found[0].code if len(found) == 1 else "invalid_request", detail, errors=found)


def field_errors(error: ValidationError) -> list[FieldError]:
    """Pydantic's faults without the values that caused them."""
    return [
        FieldError(
            place=tuple(str(step)[:_NAME_LENGTH] for step in fault["loc"]),
            code=_CODES.get(fault["type"], "invalid"),
            detail=_TEXTS.get(fault["type"], fault["msg"].removeprefix("Value error, ")),
        )
        for fault in error.errors(include_input=False, include_url=False, include_context=False)
    ]


def not_found(what: str) -> Problem:
    """The same words whether it never was or is another tenant's."""
    return Problem(404, "not_found", f"there is no such {what}")


def problem_of(error: Exception) -> Problem:
    """The answer to a fault of ours or of a component; what only operators should read goes to the log."""
    retry = {"Retry-After": str(RETRY_SECONDS)}
    match error:
        case Problem():
            return error
        case Unauthenticated():
            return Problem(401, "invalid_api_key", str(error), headers={"WWW-Authenticate": "Bearer"})
        case IssuerUnavailable():
            _log.warning("%s", error)
            text = "the token cannot be checked now, its issuer does not answer; nothing was done, send it again"
            return Problem(503, "issuer_unavailable", text, headers=retry)
        case ObjectMissing():
            return Problem(404, "object_not_found", str(error))
        case BucketUnavailable():
            _log.warning("%s", error)
            return Problem(503, "bucket_unavailable", f"{error}; then send the request again", headers=retry)
        case BrokerUnavailable() | StoreUnavailable():
            _log.error("%s", error)
            text = (
                "the request could not be kept durably; nothing was done, send it again with the same Idempotency-Key"
            )
            return Problem(503, "unavailable", text, headers=retry)
        case ClientDisconnect():
            return Problem(400, "body_incomplete", "the connection ended within the body; send the request again")
        case HTTPException():
            return Problem(error.status_code, "invalid_request", error.detail)
        case _:
            return Problem(500, "internal_error", "a fault of the service; report it with this x-request-id")


async def answer(request: Request, error: Exception) -> Response:
    """Exception handler of what nothing else has caught."""
    _log.error("a fault of the service", exc_info=error)
    return problem_of(error).response(request.scope["path"])


async def answer_routing(request: Request, error: Exception) -> Response:
    """Exception handler of Starlette's own 404 and 405; OPTIONS is answered from the same table."""
    path = request.scope["path"]
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:  # noqa: PLR2004
        allowed = {"Allow": ", ".join(sorted(_methods(request)))}
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=allowed)
        text = f"this path takes {allowed['Allow']}"
        return Problem(405, "method_not_allowed", text, headers=allowed).response(path)
    if status == 404:  # noqa: PLR2004
        return Problem(404, "not_found", "there is no such path; README.md names those there are").response(path)
    return problem_of(error).response(path)


def _methods(request: Request) -> set[str]:
    """What the path takes over all its routes; Starlette itself names those of the first one only."""
    router: Router = request.scope["router"]
    methods = {"OPTIONS"}
    for route in router.routes:
        matched, _ = route.matches({**request.scope, "method": "OPTIONS"})
        if matched is not Match.NONE:
            own: Any = getattr(route, "methods", None)
            methods |= own or set()
    return methods


HANDLERS: Mapping[Any, Any] = {HTTPException: answer_routing, Exception: answer}
"""Of what no route answers itself (guarded.py)."""

__all__ = [
    "HANDLERS",
    "RETRY_SECONDS",
    "FieldError",
    "Problem",
    "answer",
    "bad_fields",
    "field_errors",
    "not_found",
    "problem_of",
]
