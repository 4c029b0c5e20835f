"""The envelope: what a message says, what makes it poison, and that older messages stay readable."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.broker.envelope import MOST_BYTES, PoisonError, Reason, headers, received, value
from app.tests.local import envelope

JOB = envelope("job")
GOOD = headers(JOB, traceparent="00-trace", tracestate="a=b")
VALUE = value(JOB)
RECORDED = Path(__file__).parent / "data"


def test_a_message_says_what_was_published() -> None:
    found = received(GOOD, VALUE)
    assert (found.envelope, found.traceparent, found.tracestate) == (JOB, "00-trace", "a=b")


def test_tracestate_goes_nowhere_without_the_trace_it_is_about() -> None:
    assert "tracestate" not in headers(JOB, traceparent=None, tracestate="a=b")


@pytest.mark.requirement("A8", "A14")
@pytest.mark.parametrize(
    ("changed", "body", "reason", "told"),
    [
        ({}, None, Reason.TOMBSTONE, "value"),
        ({}, b" " * (MOST_BYTES + 1), Reason.OVERSIZED, "1048577 bytes"),
        ({}, b"\xff\x00", Reason.BAD_SCHEMA, "value: not a job envelope"),
        ({}, b"{}", Reason.BAD_SCHEMA, "id"),
        ({}, b"[]", Reason.BAD_SCHEMA, "body"),
        ({}, b"[" * 100_000, Reason.BAD_SCHEMA, "body"),
        ({}, VALUE.replace(b'"version":1', b'"version":2'), Reason.WRONG_VERSION, "version 2"),
        ({}, VALUE.replace(b'"version":1', b'"version":1,"more":1'), Reason.BAD_SCHEMA, "more"),
        ({}, VALUE.replace(b'"tenant":"acme"', b'"tenant":"../x"', 1), Reason.BAD_SCHEMA, "tenant"),
        ({}, VALUE.replace(b'"job":"job"', b'"job":"other"'), Reason.CONTRADICTION, "another job"),
        ({"ce_specversion": "0.3"}, VALUE, Reason.BAD_HEADER, "ce_specversion"),
        ({"ce_type": "x"}, VALUE, Reason.BAD_HEADER, "ce_type"),
        ({"ce_type": "dev.tenon.finetuning.job.v2"}, VALUE, Reason.WRONG_VERSION, "v2"),
        ({"ce_dataschema": "urn:other"}, VALUE, Reason.BAD_HEADER, "ce_dataschema"),
        ({"ce_id": "x"}, VALUE, Reason.CONTRADICTION, "ce_id"),
        ({"ce_id": "\udcff"}, VALUE, Reason.BAD_HEADER, "ce_id: is no UTF-8"),
        ({"ce_partitionkey": "globex"}, VALUE, Reason.CONTRADICTION, "ce_partitionkey"),
        ({"content-type": "text/plain"}, VALUE, Reason.BAD_HEADER, "content-type"),
    ],
)
def test_a_message_that_is_not_ours_is_poison(
    changed: dict[str, str], body: bytes | None, reason: Reason, told: str
) -> None:
    with pytest.raises(PoisonError, match=told) as raised:
        received({**GOOD, **changed}, body)
    assert raised.value.reason is reason


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(GOOD)), st.text()), st.binary() | st.just(VALUE))
def test_no_message_raises_anything_but_poison(changed: dict[str, str], body: bytes) -> None:
    with suppress(PoisonError):
        assert received({**GOOD, **changed}, body).envelope == JOB


@pytest.mark.parametrize("path", sorted(RECORDED.glob("envelope-*.json")), ids=lambda path: path.stem)
def test_a_message_that_an_older_release_published_is_still_read(path: Path) -> None:
    """Recorded as they were published; a change that fails here needs a new version, not a new recording."""
    before_schemas = {name: text for name, text in GOOD.items() if name != "ce_dataschema"}
    body = path.read_bytes().strip()
    assert received(before_schemas, body).envelope.id == "job"
