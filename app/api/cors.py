"""Cross-origin requests of the pages that TENON_CORS_ORIGINS names (the Fetch standard's CORS protocol).

Credentials of browsers are never allowed: callers send a bearer token themselves, so no cookie can act for them.
"""

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_AGE_SECONDS = 600  # how long a browser keeps the answer to its preflight
_EXPOSED = (
    "ETag", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "retry-after-ms", "traceresponse",
    "x-request-id", "x-should-retry",
)  # fmt: skip
_TAKEN = (
    "Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "Prefer", "traceparent",
    "tracestate", "x-request-id",
)  # fmt: skip


class CrossOrigin:
    """Adds the fields to the answers of the application; which methods a path takes, its own OPTIONS answer tells."""

    def __init__(self, application: ASGIApp, origins: Collection[str]) -> None:
        self._application = application
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        asks_first = scope["method"] == "OPTIONS" and "access-control-request-method" in headers

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                answered.add_vary_header("Origin")
                if origin in self._origins:
                    answered.update(_allowed(origin, asks_first=asks_first, methods=answered.get("allow", "")))
            await send(message)

        await self._application(scope, receive, sending)


def _allowed(origin: str, *, asks_first: bool, methods: str) -> dict[str, str]:
    fields = {"Access-Control-Allow-Origin": origin}
    if not asks_first:
        return {**fields, "Access-Control-Expose-Headers": ", ".join(_EXPOSED)}
    return {
        **fields,
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": ", ".join(_TAKEN),
        "Access-Control-Max-Age": str(MAX_AGE_SECONDS),
    }
