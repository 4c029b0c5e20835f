"""What ties an answer to its request: `x-request-id` on all, a span and `traceresponse` on what changes something."""

import re
import secrets

from opentelemetry.trace import SpanKind
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.telemetry import Tracing

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Correlation:
    """Outermost application. Reads are not traced: polling clients would drown the traces of jobs."""

    def __init__(self, application: ASGIApp, tracing: Tracing) -> None:
        self._application = application
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        correlated = {"x-request-id": given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)}
        if scope["method"] != "POST":
            await self._application(scope, receive, _adding(correlated, send))
            return
        attributes = {"http.request.method": "POST", "url.path": scope["path"], **correlated}
        name, parent = f"POST {scope['path']}", headers.get("traceparent")
        with self._tracing.span(name, parent, kind=SpanKind.SERVER, **attributes) as span:
            correlated["traceresponse"] = span.traceparent
            await self._application(scope, receive, _adding(correlated, send))


def _adding(headers: dict[str, str], send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(headers)
        await send(message)

    return sending
