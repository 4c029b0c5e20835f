"""The broker's documents: what is written down is what the code reads and writes."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from app.broker import asyncapi
from app.broker.envelope import headers, raw, value
from app.broker.failures import failed
from app.broker.queue import Failure, Message
from app.contract.internal import DEAD_LETTER_TOPIC, JOBS_TOPIC, RETRY_TOPICS
from app.tests.local import START, envelope

JOB = envelope("job")


def documents() -> list[tuple[Path, str]]:
    return list(asyncapi.written().items())


@pytest.mark.parametrize(("path", "text"), documents(), ids=lambda given: Path(given).name[:30])
def test_the_documents_are_what_the_code_gives(path: Path, text: str) -> None:
    """`python -m app.broker.asyncapi` writes them anew."""
    file = asyncapi.ROOT / path
    if os.environ.get("TENON_UPDATE_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text


@pytest.mark.requirement("A8")
def test_what_is_published_keeps_to_the_schemas() -> None:
    message = asyncapi.document()["components"]["messages"]["finetuningJob"]
    Draft202012Validator(asyncapi.schema()).validate(json.loads(value(JOB)))
    Draft202012Validator(message["payload"]["schema"]).validate(json.loads(value(JOB)))
    known = set(message["headers"]["allOf"][0]["properties"])
    Draft202012Validator(message["headers"]["allOf"][0]).validate(headers(JOB, traceparent="00-x"))
    assert set(headers(JOB, traceparent="00-x", tracestate="a=b")) == known


def test_the_schema_refuses_what_the_consumer_refuses() -> None:
    changed = {**json.loads(value(JOB)), "version": 2}
    assert not Draft202012Validator(asyncapi.schema()).is_valid(changed)


def test_every_header_that_a_failure_adds_is_described() -> None:
    described = set(asyncapi.document()["components"]["schemas"]["failure"]["properties"])
    found = Message(JOBS_TOPIC, 0, 1, b"acme", raw({"tenon.failure.redrives": "1"}), b"x", START)
    added = failed(found, Failure("bad_schema", "never", "PoisonError", "stack"), now=START, due=START)
    assert {name for name, _ in added} == described


def test_every_topic_is_a_channel_and_every_reference_leads_somewhere() -> None:
    document = asyncapi.document()
    addresses = [channel["address"] for channel in document["channels"].values()]
    assert addresses == [JOBS_TOPIC, *RETRY_TOPICS, DEAD_LETTER_TOPIC]
    for reference in references({key: document[key] for key in ("channels", "operations")}):
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if "$ref" in part else []
        return own + [found for each in part.values() for found in references(each)]
    return [found for each in part for found in references(each)] if isinstance(part, list) else []
