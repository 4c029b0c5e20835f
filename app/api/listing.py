"""Pages of OpenAI's lists: `after=<last id>&limit=`; `has_more` always stands there, else clients ask on for ever."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.api.errors import FieldError, bad_fields

DEFAULT_LIMIT = 20
MOST = 100
_LONGEST_CURSOR = 18  # digits that a column of 64 bits holds


@dataclass(frozen=True)
class Page:
    """What part of a list is wanted."""

    after: str | None
    limit: int


def page_of(request: Request, *, most: int = MOST) -> Page:
    """Raises Problem 400 when `limit` is no number from 1 to `most`."""
    limit = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= len(str(most)) and 1 <= int(limit) <= most):
        raise bad_fields([FieldError(("limit",), "invalid", f"must be a number from 1 to {most}", in_body=False)])
    return Page(request.query_params.get("after"), int(limit))


def cursor_of(after: str | None, prefix: str) -> int | None:
    """The number in an id `<prefix>-<number>` after which a list or a stream goes on. Raises Problem 400."""
    if after is None:
        return None
    number = after.removeprefix(f"{prefix}-")
    if number == after or not (number.isascii() and number.isdigit() and len(number) <= _LONGEST_CURSOR):
        raise bad_fields([FieldError(("after",), "invalid", f"must be an id {prefix}-<number>", in_body=False)])
    return int(number)


def page(objects: Sequence[Mapping[str, object]], *, limit: int) -> Response:
    """The first `limit` of the objects; one more was asked for, to know whether there are more."""
    shown = objects[:limit]
    body = {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(objects) > limit,
    }
    return JSONResponse(body)
