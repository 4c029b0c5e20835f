"""CloudEvents 1.0 in binary mode: the headers of a `finetuning-jobs` message, and what makes a message poison.

How versions go on. The envelope's version stands in `ce_type`, in `ce_dataschema` and in the value. A change that an
older consumer would refuse (any new member: unknown ones are refused) is a new version: its schema is added beside the
older ones, `received` keeps reading the one before it, and dispatchers are updated before ingest writes it. A version
that a dispatcher does not know is a dead letter of reason `wrong_version`, to be redriven once it is updated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from app.broker.queue import Headers
from app.contract.job import JobEnvelope

SOURCE = "/tenon/ingest"
TYPE = "dev.tenon.finetuning.job.v1"
SCHEMA = "urn:tenon:finetuning-job:v1"  # `$id` of app/contract/schemas/finetuning-job.v1.json
CONTENT_TYPE = "application/json"
SPEC_VERSION = "1.0"
MOST_BYTES = 1 << 20  # of a value; Kafka's own default for a batch
_TYPE_STEM, _, _ = TYPE.rpartition("v")


class Reason(StrEnum):
    """Why a message is a dead letter."""

    TOMBSTONE = "tombstone"  # no value
    OVERSIZED = "oversized"
    BAD_HEADER = "bad_header"  # missing, not UTF-8, or not ours
    WRONG_VERSION = "wrong_version"
    BAD_SCHEMA = "bad_schema"
    CONTRADICTION = "contradiction"  # headers and value, or two parts of the value, tell of different jobs
    UNKNOWN_TENANT = "unknown_tenant"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"  # a fault that was thought to pass


class PoisonError(Exception):
    """A message that no repetition can mend; it belongs with the dead letters at once."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True)
class Received:
    """A message that was understood."""

    envelope: JobEnvelope
    traceparent: str | None
    tracestate: str | None = None


def headers(envelope: JobEnvelope, *, traceparent: str | None, tracestate: str | None = None) -> dict[str, str]:
    """Headers of the message; its key and `ce_partitionkey` are the tenant."""
    traced = {"traceparent": traceparent, "tracestate": tracestate if traceparent else None}
    return {
        "ce_specversion": SPEC_VERSION,
        "ce_id": envelope.id,
        "ce_source": SOURCE,
        "ce_type": TYPE,
        "ce_dataschema": SCHEMA,
        "ce_time": envelope.created_at.isoformat(),
        "ce_subject": f"jobs/{envelope.id}",
        "ce_partitionkey": envelope.tenant,
        "content-type": CONTENT_TYPE,
        **{name: text for name, text in traced.items() if text is not None},
    }


def raw(headers: Mapping[str, str]) -> Headers:
    """Headers as a broker keeps them."""
    return tuple((name, text.encode()) for name, text in headers.items())


def value(envelope: JobEnvelope) -> bytes:
    return envelope.model_dump_json(by_alias=True).encode()


def received(headers: Mapping[str, str], value: bytes | None) -> Received:
    """What a message says. Raises PoisonError where it is not one of ours or contradicts itself."""
    if value is None:
        raise PoisonError(Reason.TOMBSTONE, "value: is none; jobs are ended by the API, not by tombstones")
    if len(value) > MOST_BYTES:
        raise PoisonError(Reason.OVERSIZED, f"value: {len(value)} bytes; at most {MOST_BYTES}")
    _check_headers(headers)
    envelope = _envelope(value)
    for name, expected in {"ce_id": envelope.id, "ce_partitionkey": envelope.tenant}.items():
        if headers.get(name) != expected:
            raise PoisonError(
                Reason.CONTRADICTION, f"header {name}: {headers.get(name)!r}; the value says {expected!r}"
            )
    if (envelope.training.job, envelope.training.tenant) != (envelope.id, envelope.tenant):
        raise PoisonError(Reason.CONTRADICTION, "value: training is of another job or tenant than its envelope")
    return Received(envelope, headers.get("traceparent"), headers.get("tracestate"))


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, text in headers.items():
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise PoisonError(Reason.BAD_HEADER, f"header {name[:80]}: is no UTF-8")
    kind = headers.get("ce_type", "")
    if kind != TYPE and kind.startswith(_TYPE_STEM):
        raise PoisonError(Reason.WRONG_VERSION, f"header ce_type: {kind!r}; this version reads {TYPE!r}")
    # written since the schema has a name; what was published before has none
    expected = {"ce_specversion": SPEC_VERSION, "ce_type": TYPE, "content-type": CONTENT_TYPE}
    for name, text in {**expected, **({"ce_dataschema": SCHEMA} if "ce_dataschema" in headers else {})}.items():
        if headers.get(name) != text:
            raise PoisonError(Reason.BAD_HEADER, f"header {name}: {headers.get(name)!r}; must be {text!r}")


def _envelope(value: bytes) -> JobEnvelope:
    try:
        return JobEnvelope.model_validate_json(value)
    except ValidationError as error:
        if (version := _version(value)) not in {None, 1}:
            text = f"value: version {version!r}; this version reads 1"
            raise PoisonError(Reason.WRONG_VERSION, text) from error
        fields = ", ".join(".".join(map(str, fault["loc"])) or "body" for fault in error.errors(include_input=False))
        text = f"value: not a job envelope of version 1 (at {fields[:200]})"
        raise PoisonError(Reason.BAD_SCHEMA, text) from error


def _version(value: bytes) -> Any:
    try:
        found = from_json(value)
    except ValueError:
        return None
    return found.get("version") if isinstance(found, dict) else None
