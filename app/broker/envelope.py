"""CloudEvents 1.0 in binary mode: the headers of a `finetuning-jobs` message, and what makes a message poison."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from app.contract.job import JobEnvelope

SOURCE = "/tenon/ingest"
TYPE = "dev.tenon.finetuning.job.v1"
CONTENT_TYPE = "application/json"
SPEC_VERSION = "1.0"


class PoisonError(Exception):
    """A message that no repetition can mend; it belongs with the dead letters at once."""


@dataclass(frozen=True)
class Received:
    """A message that was understood."""

    envelope: JobEnvelope
    traceparent: str | None


def headers(envelope: JobEnvelope, *, traceparent: str | None) -> dict[str, str]:
    """Headers of the message; its key and `ce_partitionkey` are the tenant."""
    made = {
        "ce_specversion": SPEC_VERSION,
        "ce_id": envelope.id,
        "ce_source": SOURCE,
        "ce_type": TYPE,
        "ce_time": envelope.created_at.isoformat(),
        "ce_subject": f"jobs/{envelope.id}",
        "ce_partitionkey": envelope.tenant,
        "content-type": CONTENT_TYPE,
    }
    return made if traceparent is None else {**made, "traceparent": traceparent}


def value(envelope: JobEnvelope) -> bytes:
    return envelope.model_dump_json(by_alias=True).encode()


def received(headers: Mapping[str, str], value: bytes) -> Received:
    """What a message says. Raises PoisonError where it is not one of ours or contradicts itself."""
    _expect(headers, "ce_specversion", SPEC_VERSION)
    _expect(headers, "ce_type", TYPE)
    _expect(headers, "content-type", CONTENT_TYPE)
    try:
        envelope = JobEnvelope.model_validate_json(value)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, fault["loc"])) or "body" for fault in error.errors(include_input=False))
        raise PoisonError(f"value: not a job envelope of version 1 (at {fields})") from error
    _expect(headers, "ce_id", envelope.id)
    _expect(headers, "ce_partitionkey", envelope.tenant)
    if (envelope.training.job, envelope.training.tenant) != (envelope.id, envelope.tenant):
        raise PoisonError("value: training is of another job or tenant than its envelope")
    return Received(envelope, headers.get("traceparent"))


def _expect(headers: Mapping[str, str], name: str, expected: str) -> None:
    if (found := headers.get(name)) != expected:
        raise PoisonError(f"header {name}: {found!r}; must be {expected!r}")
