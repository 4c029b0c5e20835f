"""One error body for all clients: RFC 9457 members, the `error` object that OpenAI's client unwraps, and `message`."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Router

from app.broker.queue import BrokerUnavailable
from app.buckets import BucketUnavailable, ObjectMissing
from app.identity.caller import IssuerUnavailable, Unauthenticated
from app.store.engine import StoreUnavailable

RETRY_SECONDS = 5  # after an outage of a component
_NAME_LENGTH = 80  # a longer key of the body is cut in the answer

_log = logging.getLogger(__name__)
_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {"missing": "missing", "extra_forbidden": "unknown_field", "json_invalid": "json_invalid"}
_TEXTS = {"missing": "is missing; it is mandatory", "extra_forbidden": "is no field here; remove it"}


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field; `place` are the keys that lead to it in the body, empty for the body itself."""

    place: tuple[str, ...]
    code: str
    detail: str
    in_body: bool = True  # False: a header or a query parameter, which has no JSON pointer

    @property
    def field(self) -> str:
        return ".".join(self.place)

    def document(self) -> dict[str, str]:
        members = {"field": self.field, "code": self.code, "detail": self.detail}
        if self.in_body:
            steps = (step.replace("~", "~0").replace("/", "~1") for step in self.place)
            members["pointer"] = "".join(["#", *(f"/{step}" for step in steps)])
        return members


class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """A request that is refused. Texts name field, rule and remedy; they never repeat a value of the request."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        permanent: bool = False,
    ) -> None:
        """`permanent`: the same request fails again, though its status makes clients try again."""
        super().__init__(detail)
        self.status, self.code, self.detail, self.errors = status, code, detail, tuple(errors)
        self.headers = {**(headers or {}), **({"x-should-retry": "false"} if permanent else {})}

    def response(self, path: str) -> Response:
        title = HTTPStatus(self.status).phrase
        kind = _OPENAI_TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")  # noqa: PLR2004
        parameter = self.errors[0].field or None if self.errors else None
        body = {
            "type": f"urn:tenon:problem:{self.code}",
            "title": title,
            "status": self.status,
            "detail": self.detail,
            "instance": quote(path),
            "invalidParams": [error.document() for error in self.errors],
            "errors": _texts_by_field(self.errors),
            "error": {"message": self.detail, "type": kind, "param": parameter, "code": self.code},
            "message": self.detail,
        }
        return JSONResponse(body, self.status, headers=self.headers, media_type="application/problem+json")


def _texts_by_field(errors: Iterable[FieldError]) -> dict[str, list[str]]:
    """For forms: what to show beside each field."""
    texts: dict[str, list[str]] = {}
    for error in errors:
        texts.setdefault(error.field or "body", []).append(error.detail)
    return texts


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
