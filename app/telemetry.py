"""One trace per job: OpenTelemetry spans with W3C `traceparent` in and out, exported as JSON Lines.

Every span is sampled, whatever the caller's flag says: a job is rare and long, and its trace is its only full story.
"""

import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span as OpenTelemetrySpan
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()

Attribute = str | int | float | bool


class Span:
    """A running span: what its children and other processes need of it."""

    def __init__(self, span: OpenTelemetrySpan) -> None:
        self._span = span

    @property
    def trace_id(self) -> str:
        return format_trace_id(self._span.get_span_context().trace_id)

    @property
    def traceparent(self) -> str:
        """Header value for the next process; W3C Trace Context, version 00."""
        return f"00-{self.trace_id}-{format_span_id(self._span.get_span_context().span_id)}-01"

    def put(self, **attributes: Attribute) -> None:
        """Record what became known only while the span ran."""
        self._span.set_attributes(attributes)


class Tracing:
    """Spans of one service."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("tenon")

    @contextmanager
    def span(
        self,
        name: str,
        parent: str | None = None,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        **attributes: Attribute,
    ) -> Iterator[Span]:
        """Run the block in a span. Its parent is `parent` (a traceparent), else the span around it, else none.

        An unreadable traceparent begins a new trace. An exception is recorded on the span and goes on.
        """
        context = _PROPAGATOR.extract({"traceparent": parent}, Context()) if parent else None
        with self._tracer.start_as_current_span(name, context, kind, attributes) as span:
            yield Span(span)


class JsonLines(SpanExporter):
    """Appends each span to one file, whole and at once, so that several processes may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._opening = threading.Lock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """A full disk loses spans, never a job."""
        lines = "".join(f"{json.dumps(_document(span))}\n" for span in spans).encode()
        try:
            os.write(self._opened(), lines)
        except OSError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        with self._opening:
            if self._descriptor is not None:
                os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        self.shutdown()

    def _opened(self) -> int:
        """Kept open: a span of a request would pay for opening it, and half again."""
        with self._opening:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            return self._descriptor


def tracing(service: str, trace_file: Path | None) -> Tracing:
    """Spans of `service`; without a file they still carry the trace from process to process."""
    provider = TracerProvider(sampler=ALWAYS_ON, resource=Resource({SERVICE_NAME: service}), shutdown_on_exit=False)
    if trace_file is not None:
        trace_file.parent.mkdir(parents=True, exist_ok=True)
        provider.add_span_processor(SimpleSpanProcessor(JsonLines(trace_file)))
    return Tracing(provider)


def _document(span: ReadableSpan) -> dict[str, object]:
    context, parent = span.get_span_context(), span.parent
    return {
        "service": span.resource.attributes[SERVICE_NAME],
        "name": span.name,
        "kind": span.kind.name.lower(),
        "traceId": format_trace_id(context.trace_id) if context else None,
        "spanId": format_span_id(context.span_id) if context else None,
        "parentSpanId": format_span_id(parent.span_id) if parent else None,
        "startTimeUnixNano": span.start_time,
        "endTimeUnixNano": span.end_time,
        "status": span.status.status_code.name.lower(),
        "attributes": dict(span.attributes or {}),
        "exceptions": [str((event.attributes or {}).get("exception.type")) for event in span.events],
    }
