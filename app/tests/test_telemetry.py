"""Spans: one trace over processes, one line per span, and never a fault of the job."""

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from app.telemetry import tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-00"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.requirement("A35")
def test_a_trace_goes_on_over_services_that_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "traces" / "spans.jsonl"
    with tracing("ingest", path).span("send", PARENT, kind=SpanKind.PRODUCER) as sent:
        assert sent.traceparent.startswith(f"00-{TRACE}-")
    with tracing("dispatcher", path).span("process", sent.traceparent, kind=SpanKind.CONSUMER, **{"tenon.job": "j1"}):
        pass
    first, second = lines(path)
    assert (first["traceId"], second["traceId"]) == (TRACE, TRACE)
    assert second["parentSpanId"] == first["spanId"]
    assert (first["service"], first["kind"]) == ("ingest", "producer")
    assert second["attributes"] == {"tenon.job": "j1"}
    assert first["endTimeUnixNano"] >= first["startTimeUnixNano"]


def test_a_span_without_a_parent_is_a_child_of_the_one_around_it(tmp_path: Path) -> None:
    traced = tracing("ingest", tmp_path / "spans.jsonl")
    with traced.span("outer") as outer, traced.span("inner") as inner:
        inner.put(rows=3)
    inside, outside = lines(tmp_path / "spans.jsonl")
    assert inside["parentSpanId"] == outside["spanId"]
    assert inside["attributes"] == {"rows": 3}
    assert outside["parentSpanId"] is None
    assert inner.trace_id == outer.trace_id


@pytest.mark.parametrize("parent", ["", "garbage", f"00-{'0' * 32}-{'0' * 16}-01", "ff" + PARENT[2:]])
def test_an_unreadable_parent_begins_a_new_trace(parent: str) -> None:
    with tracing("ingest", None).span("request", parent) as span:
        assert span.trace_id not in {TRACE, "0" * 32}


def test_a_fault_is_on_the_span_and_goes_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), tracing("ingest", tmp_path / "s.jsonl").span("step"):
        raise ValueError("no")
    assert (lines(tmp_path / "s.jsonl")[0]["status"], lines(tmp_path / "s.jsonl")[0]["exceptions"]) == (
        "error",
        ["ValueError"],
    )


def test_a_trace_file_that_cannot_be_written_costs_no_job(tmp_path: Path) -> None:
    with tracing("ingest", tmp_path).span("send") as span:  # a folder is no file
        assert span.traceparent
