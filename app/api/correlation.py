"""What ties an answer to its request: `x-request-id` on all, a span and `traceresponse` on what changes something."""

import random
import re
import time
from dataclasses import dataclass

from opentelemetry.trace import SpanKind
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.metrics import UNKNOWN_ROUTE, Metrics
from app.telemetry import Tracing

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass
class Found:
    """By what a request is found again."""

    request_id: str
    trace_id: str | None = None


def correlation_of(scope: Scope) -> Found:
    found: Found = scope["tenon.correlation"]
    return found


class Correlation:
    """Outermost application. Reads are not traced: polling clients would drown the traces of jobs."""

    def __init__(self, application: ASGIApp, tracing: Tracing, metrics: Metrics | None) -> None:
        self._application = application
        self._tracing = tracing
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        found = Found(given if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}")
        scope["tenon.correlation"] = found
        correlated = {"x-request-id": found.request_id}
        sending = self._measuring(scope, _adding(correlated, send))
        if scope["method"] in _READS:
            await self._application(scope, receive, sending)
            return
        attributes = {"http.request.method": scope["method"], "url.path": scope["path"], **correlated}
        name, parent = f"{scope['method']} {scope['path']}", headers.get("traceparent")
        with self._tracing.span(name, parent, kind=SpanKind.SERVER, **attributes) as span:
            found.trace_id = span.trace_id
            correlated["traceresponse"] = span.traceparent
            await self._application(scope, receive, sending)

    def _measuring(self, scope: Scope, send: Send) -> Send:
        """Counts the answer with the pattern of its route, which is in the scope by then."""
        metrics, began = self._metrics, time.perf_counter()
        if metrics is None:
            return send

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                route, taken = getattr(scope.get("route"), "path", UNKNOWN_ROUTE), time.perf_counter() - began
                metrics.request(metrics.service, message["status"], route=route, seconds=taken)
            await send(message)

        return sending


def _adding(headers: dict[str, str], send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(headers)
        await send(message)

    return sending
