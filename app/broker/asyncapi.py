"""The AsyncAPI 3 document of the broker, generated from what the code reads and writes.

`python -m app.broker.asyncapi` writes it, and the schema of the envelope, anew; a test compares.
"""

import json
import sys
from pathlib import Path
from typing import Any

from app.broker.envelope import CONTENT_TYPE, MOST_BYTES, SCHEMA, SOURCE, SPEC_VERSION, TYPE, Reason
from app.contract.internal import DEAD_LETTER_TOPIC, DISPATCHER_GROUP, FAILURE_HEADERS, JOBS_TOPIC, RETRY_TOPICS
from app.contract.job import JobEnvelope

ROOT = Path(__file__).parents[2]
SCHEMA_FILE = Path("app/contract/schemas/finetuning-job.v1.json")
DOCUMENT_FILE = Path("docs/api/asyncapi.json")
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_OF_MESSAGE = "#/components/messages/finetuningJob"
_FAILURE = {
    "topic": "where the message was first found",
    "partition": "of that topic",
    "offset": "in that partition",
    "timestamp": "when it was published, ISO 8601",
    "group": "consumer group that could not handle it",
    "attempts": "how often it was tried",
    "reason": "code of the last failure",
    "error_class": "class of the last error",
    "error": "its text",
    "stack": "end of its stack, at most 4096 characters",
    "first_failed_at": "ISO 8601",
    "due_at": "not to be taken before, ISO 8601; on retry topics",
    "redrives": "how often an operator sent it again",
}


def schema() -> dict[str, Any]:
    """The value of a message."""
    made = JobEnvelope.model_json_schema(by_alias=True)
    return {"$schema": DIALECT, "$id": SCHEMA, **made}


def document() -> dict[str, Any]:
    retries = [
        _channel(name, f"Jobs that failed for a passing reason, due after {RETRY_TOPICS[name]} s.")
        for name in RETRY_TOPICS
    ]
    channels = {
        "jobs": _channel(JOBS_TOPIC, "Jobs that were answered 202, keyed by tenant. At least once; order per tenant."),
        **{f"retry{number}": channel for number, channel in enumerate(retries, 1)},
        "deadLetters": _channel(DEAD_LETTER_TOPIC, "What could not be handled; the store lists the same letters."),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tenon: fine-tuning jobs",
            "version": "1.0.0",
            "description": "From the ingest API to the dispatcher. CloudEvents 1.0 in binary mode over Apache Kafka.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": channels,
        "operations": _operations(channels),
        "components": {"messages": {"finetuningJob": _message()}, "schemas": {"failure": _failure()}},
    }


def _channel(address: str, description: str) -> dict[str, Any]:
    return {"address": address, "description": description, "messages": {"finetuningJob": {"$ref": _OF_MESSAGE}}}


def _operations(channels: dict[str, Any]) -> dict[str, Any]:
    """Named by the service; `send` and `receive` are its own view, as AsyncAPI 3 has it."""
    taken = [name for name in channels if name != "deadLetters"]
    set_aside = [name for name in channels if name != "jobs"]
    group = {"kafka": {"groupId": {"type": "string", "enum": [DISPATCHER_GROUP]}}}
    sends = {f"dispatcher.set-aside.{name}": _operation("send", name) for name in set_aside}
    receives = {f"dispatcher.take.{name}": {**_operation("receive", name), "bindings": group} for name in taken}
    return {"ingest.publish": _operation("send", "jobs"), **receives, **sends}


def _operation(action: str, channel: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/finetuningJob"}],
    }


def _message() -> dict[str, Any]:
    constant = {
        "ce_specversion": SPEC_VERSION,
        "ce_type": TYPE,
        "ce_source": SOURCE,
        "ce_dataschema": SCHEMA,
        "content-type": CONTENT_TYPE,
    }
    said = {
        "ce_id": "the job's id",
        "ce_time": "when it was accepted, ISO 8601",
        "ce_subject": "jobs/<id>",
        "ce_partitionkey": "the tenant, as the key",
        "traceparent": "W3C Trace Context",
        "tracestate": "W3C Trace Context",
    }
    headers = {name: {"type": "string", "const": text} for name, text in constant.items()}
    headers |= {name: {"type": "string", "description": text} for name, text in said.items()}
    optional = {"ce_dataschema", "ce_source", "ce_time", "ce_subject", "traceparent", "tracestate"}
    return {
        "name": TYPE,
        "contentType": CONTENT_TYPE,
        "summary": f"One fine-tuning job; a value of at most {MOST_BYTES} bytes.",
        "bindings": {"kafka": {"key": {"type": "string", "description": "the tenant"}}},
        "headers": {
            "allOf": [
                {"type": "object", "required": sorted(headers.keys() - optional), "properties": headers},
                {"$ref": "#/components/schemas/failure"},
            ]
        },
        "payload": {"schemaFormat": f"application/schema+json;version={DIALECT.split('/')[-2]}", "schema": schema()},
    }


def _failure() -> dict[str, Any]:
    """Headers of a message that failed, beside its own."""
    properties: dict[str, dict[str, Any]] = {
        f"{FAILURE_HEADERS}{name}": {"type": "string", "description": text} for name, text in _FAILURE.items()
    }
    properties[f"{FAILURE_HEADERS}reason"]["enum"] = [str(reason) for reason in Reason]
    return {"type": "object", "properties": properties}


def written() -> dict[Path, str]:
    """File below the repository -> its text."""
    documents = {SCHEMA_FILE: schema(), DOCUMENT_FILE: document()}
    return {path: json.dumps(made, indent=2, ensure_ascii=False) + "\n" for path, made in documents.items()}


if __name__ == "__main__":
    for path, text in written().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path}\n")
