"""The outbox of webhooks: rows written in the transaction of what they tell of, then sent until they arrive."""

from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

from sqlalchemy import Connection, Row, insert

from app.contract.job import JobEnvelope
from app.delivery.event import Ending, event_body, event_type
from app.jobs.ids import Ids
from app.store.tables import deliveries


class EndedJob(Protocol):
    """A job, as a row of `jobs` or as read from one."""

    @property
    def envelope(self) -> JobEnvelope: ...


def enqueue(connection: Connection, job: EndedJob | Row[Any], kind: Ending) -> bool:
    """Note that the caller of a job is to be told of its end. False: the caller gave no address."""
    stored = job.envelope
    envelope = stored if isinstance(stored, JobEnvelope) else JobEnvelope.model_validate_json(stored)
    if envelope.callback_url is None:
        return False
    event, at = f"evt_{Ids().draw()}", datetime.now(UTC)
    row = {
        "id": event,
        "job": envelope.id,
        "tenant": envelope.tenant,
        "url": envelope.callback_url,
        "host": urlsplit(envelope.callback_url).hostname or "",
        "type": event_type(kind),
        "body": event_body(envelope, kind, event=event, at=at),
        "state": "pending",
        "attempts": 0,
        "created_at": at,
        "next_at": at,
    }
    connection.execute(insert(deliveries).values(row))
    return True
