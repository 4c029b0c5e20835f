"""One error body for all clients: RFC 9457 members, the `error` object that OpenAI's client unwraps, and `message`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote

from starlette.responses import JSONResponse

_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


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

    def response(self, path: str) -> JSONResponse:
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
