"""Reading of request bodies: bounded before they are read, refused by type before they are parsed."""

import json
from email.message import Message
from typing import Any

from starlette.requests import Request
from starlette.types import Message as AsgiMessage

from app.api.errors import FieldError, Problem, bad_fields

JSON_BYTES = 64 << 10  # a job's description; datasets have their own route
MOST_DEPTH = 64  # of objects and lists within one another
_JSON = "application/json"


async def json_body(request: Request) -> bytes:
    """The body of a JSON request, fit to be validated. Raises Problem 400, 413 and 415."""
    expect_type(request, _JSON)
    body = await capped(request, JSON_BYTES).body()
    expect_json(body)
    return body


def expect_json(body: bytes) -> None:
    """Raises Problem 400 for what parsers read differently: repeated names, NUL, NaN, invalid UTF-8 (RFC 8259, 8785).

    Without it a proxy or log may see another job than the one that is made.
    """
    try:
        document = _STRICT.decode(body.decode())
    except _AmbiguousError as error:
        raise bad_fields([FieldError(error.place, error.code, error.text)]) from error
    except (ValueError, RecursionError) as error:
        raise bad_fields([FieldError((), "json_invalid", "is no JSON in UTF-8; send one object")]) from error
    if body.count(b"[") + body.count(b"{") > MOST_DEPTH and _depth(document) > MOST_DEPTH:
        text = f"is nested more than {MOST_DEPTH} deep; send one flat object"
        raise bad_fields([FieldError((), "json_invalid", text)])
    if b"\\u0000" in body and _holds_nul(document):
        raise bad_fields([FieldError((), "nul", "holds a NUL character in a text; leave it out")])


def expect_type(request: Request, wanted: str) -> None:
    """Raises Problem 415 when the body is declared as another type, or as none."""
    declared = request.headers.get("content-type", "application/octet-stream")
    if declared == wanted:
        return
    header = Message()
    header["content-type"] = declared
    if header.get_content_type() != wanted:
        raise Problem(415, "unsupported_media_type", f"the body's Content-Type must be {wanted}")


def capped(request: Request, most: int) -> Request:
    """The request, whose body raises Problem 413 beyond `most` bytes, declared or sent."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdecimal() and int(declared[:19]) > most:
        raise too_large(most)
    received = 0

    async def receive() -> AsgiMessage:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > most:
            raise too_large(most)
        return message

    return Request(request.scope, receive)


def too_large(most: int) -> Problem:
    text = f"the body has more than {most} bytes; send less, or put big data into your bucket yourself"
    return Problem(413, "body_too_large", text)


class _AmbiguousError(Exception):
    """JSON that parsers do not agree on."""

    def __init__(self, place: tuple[str, ...], code: str, text: str) -> None:
        super().__init__(text)
        self.place, self.code, self.text = place, code, text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        repeated = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _AmbiguousError((repeated[:80],), "duplicate_key", "stands twice in one object; leave one")
    return made


def _no_number(name: str) -> Any:
    raise _AmbiguousError((), "json_invalid", f"{name} is no JSON number; send a finite one")


_STRICT = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number)


def _depth(document: Any) -> int:
    deepest, stack = 0, [(document, 1)]
    while stack:
        value, depth = stack.pop()
        if isinstance(value, dict | list):
            deepest = max(deepest, depth)
            inner = value.values() if isinstance(value, dict) else value
            stack += [(each, depth + 1) for each in inner]
    return deepest


def _holds_nul(document: Any) -> bool:
    stack = [document]
    while stack:
        value = stack.pop()
        if isinstance(value, str) and "\0" in value:
            return True
        if isinstance(value, dict):
            stack += [*value, *value.values()]
        elif isinstance(value, list):
            stack += value
    return False
