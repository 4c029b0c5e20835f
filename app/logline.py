"""Log lines: one JSON object each, on stderr, with the job and the trace they belong to.

No secret and no payload gets there: our own texts hold none, other people's exceptions are told by type and place
alone, because their texts repeat what they were given (rows, parameters of SQL, URLs), and libraries that log requests
are silent below a warning.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import format_trace_id, get_current_span

JOB = "tenon.job"  # attribute of spans
MOST_CHARACTERS = 2000  # of a message
MOST_FRAMES = 12  # the innermost of a stack
_OURS = ("app.", "tenon.", "trainer.")  # modules whose exceptions were worded for people
TALKATIVE = ("httpx", "httpcore", "botocore", "boto3", "urllib3", "confluent_kafka", "alembic")


class JsonLine(logging.Formatter):
    """`{"time", "service", "level", "message", "job"?, "trace"?, "fault"?, "at"?}`."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "service": self._service,
            "level": record.levelname.lower(),
            "message": record.getMessage()[:MOST_CHARACTERS],
            **_place(record),
        }
        if record.exc_info and record.exc_info[1] is not None:
            told |= {"fault": fault(record.exc_info[1]), "at": _frames(record.exc_info[2])}
        return json.dumps(told, ensure_ascii=False)


def log_lines(service: str) -> None:
    """Log to stderr as JSON Lines, under the name of the service."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLine(service))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def fault(error: BaseException) -> str:
    """An exception without what it was given: ours with their text, the system's with its reason, others by type."""
    kind = type(error)
    if kind.__module__.startswith(_OURS):
        return f"{kind.__name__}: {error}"[:MOST_CHARACTERS]
    if isinstance(error, OSError) and error.strerror:
        return f"{kind.__name__}: {error.strerror}"
    return f"{kind.__module__}.{kind.__qualname__}"


def _place(record: logging.LogRecord) -> dict[str, str]:
    """Of which job and trace: as the line says (`extra`), else as the span around it does."""
    span = get_current_span()
    attributes = span.attributes or {} if isinstance(span, ReadableSpan) else {}
    context = span.get_span_context()
    found = {
        "job": getattr(record, "job", None) or attributes.get(JOB),
        "trace": getattr(record, "trace", None) or (format_trace_id(context.trace_id) if context.is_valid else None),
    }
    return {name: str(value) for name, value in found.items() if value}


def _frames(trace: TracebackType | None) -> list[str]:
    """Where it happened, outermost first; no source text and no values."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)[-MOST_FRAMES:]]
