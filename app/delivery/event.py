"""The event a webhook tells of: OpenAI's types and envelope, with the fields of `/api/finetune` in `data`.

Thin by Standard Webhooks 1.0.0: it says what happened to which job; the receiver asks the API for the rest.
"""

import json
from datetime import datetime
from typing import Literal

from app.contract.job import JobEnvelope

Ending = Literal["succeeded", "failed", "cancelled"]


def event_type(ending: Ending) -> str:
    return f"fine_tuning.job.{ending}"


def event_body(envelope: JobEnvelope, ending: Ending, *, event: str, at: datetime) -> str:
    """The JSON document, the same bytes in every attempt to deliver it. `version` is null unless the job made one."""
    data = {
        "id": envelope.id,
        "jobId": envelope.id,
        "tenantId": envelope.tenant,
        "status": ending,
        "modelId": envelope.training.model,
        "version": envelope.training.version if ending == "succeeded" else None,
    }
    document = {
        "id": event,
        "object": "event",
        "type": event_type(ending),
        "created_at": int(at.timestamp()),
        "timestamp": at.isoformat(),
        "data": data,
    }
    return json.dumps(document, separators=(",", ":"))
