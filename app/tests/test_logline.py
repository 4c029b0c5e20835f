"""Log lines: JSON with job and trace, and no secret, no payload and no URL of a caller in any of them."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import SpanKind
from pydantic import BaseModel
from sqlalchemy import Engine, text

from app.logline import MOST_CHARACTERS, TALKATIVE, JsonLine, fault
from app.store.engine import StoreUnavailable, writing
from app.telemetry import tracing
from app.tests.cast import KEYS, UNKNOWN_KEY
from app.tests.local import JobPath, envelope, publish
from app.tests.serving import REQUEST, serve

log = logging.getLogger("app.tests")
SECRET = "a-secret-that-nobody-else-should-read"


class Lines(io.StringIO):
    """What was logged, as JSON."""

    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """All lines of the process while the test runs, from DEBUG up but for libraries that log requests."""
    made = Lines()
    handler = logging.StreamHandler(made)
    handler.setFormatter(JsonLine("ingest"))
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    levels = {name: logging.getLogger(name).level for name in TALKATIVE}
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    yield made
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    root.removeHandler(handler)
    root.setLevel(level)


def test_a_line_tells_time_service_level_and_message(lines: Lines) -> None:
    log.warning("%s is away", "the store")
    (line,) = lines.all()
    assert line.pop("time").endswith("+00:00")
    assert line == {"service": "ingest", "level": "warning", "message": "the store is away"}


@pytest.mark.requirement("A35")
def test_a_line_within_a_span_has_its_trace_and_job(lines: Lines) -> None:
    about = {"tenon.job": "job-1"}
    with tracing("ingest", None).span("process", kind=SpanKind.CONSUMER, **about) as span:
        log.info("taken")
    log.info("of another", extra={"job": "job-2"})
    first, second = lines.all()
    assert (first["job"], first["trace"]) == ("job-1", span.trace_id)
    assert (second["job"], "trace" in second) == ("job-2", False)


def test_a_message_has_an_end_and_one_line(lines: Lines) -> None:
    log.info("a\nb %s", "x" * 10_000)
    (line,) = lines.all()
    assert len(line["message"]) == MOST_CHARACTERS


class Row(BaseModel):
    amount: int


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (lambda: Row.model_validate({"amount": SECRET}), "pydantic_core._pydantic_core.ValidationError"),
        (lambda: json.loads(f"{{{SECRET}"), "json.decoder.JSONDecodeError"),
        (lambda: {"known": 1}[SECRET], "builtins.KeyError"),
        (lambda: Path(f"/{SECRET}").read_bytes(), "FileNotFoundError: No such file or directory"),
    ],
)
def test_an_exception_of_others_is_told_by_type_and_place_alone(lines: Lines, raised: Any, told: str) -> None:
    try:
        raised()
    except Exception:
        log.exception("it failed")
    (line,) = lines.all()
    assert line["fault"] == told
    assert any("test_logline.py" in frame for frame in line["at"])
    assert SECRET not in lines.getvalue()


def test_an_exception_of_ours_keeps_its_words() -> None:
    assert fault(StoreUnavailable("the disk is full")) == "StoreUnavailable: the disk is full"


def test_a_refused_statement_tells_no_parameter(engine: Engine, lines: Lines) -> None:
    try:
        with writing(engine) as connection:
            connection.execute(text("INSERT INTO files (id) VALUES (:id)"), {"id": SECRET})
    except Exception:
        log.exception("the file was not kept")
    assert lines.getvalue()
    assert SECRET not in lines.getvalue()


def test_no_secret_and_no_payload_of_a_job_is_in_any_log(tmp_path: Path, lines: Lines) -> None:
    """Requests that go well, that are refused, and that meet a fault of ours; then the way of a job that fails."""
    api = serve(tmp_path)
    body = {**REQUEST, "metadata": {"note": SECRET}, "datasetUrl": f"s3://tenon-acme/datasets/{SECRET}.jsonl"}
    assert api.submit(body).status_code == 202
    assert api.submit({**body, "callbackUrl": f"https://{SECRET}.example/?key={SECRET}"}).status_code == 400
    assert api.submit(body, headers={"Authorization": f"Bearer {UNKNOWN_KEY}"}).status_code == 401
    assert api.send("GET", f"/v1/fine_tuning/jobs/{SECRET}?after={SECRET}").status_code == 404
    path = JobPath(tmp_path / "home", script=f"import sys; sys.exit({SECRET!r})")
    sent = envelope("job", metadata={"note": SECRET})
    publish(path.engine, sent)
    path.dispatcher().round()
    path.run(path.controller(), until=lambda: path.state("job").is_final)
    token = (path.attempt_folder("job") / "token").read_text()
    path.engine.dispose()
    for secret in (SECRET, token, *KEYS.values(), UNKNOWN_KEY, sent.training.data):
        assert secret not in lines.getvalue()
    assert "step prepare" in lines.getvalue()  # something was logged at all
