"""The outbox of webhooks as jobs and callers see it: rows come with the end of a job, callers list and replay them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from sqlalchemy import Connection, Engine, Row, Select, and_, delete, insert, or_, select, update

from app.contract.job import JobEnvelope
from app.delivery.event import Ending, event_body, event_type
from app.delivery.receiver import receiver
from app.jobs.ids import Ids
from app.store.engine import reading, writing
from app.store.tables import deliveries, endpoints

DeliveryState = Literal["pending", "delivered", "refused", "given_up"]


class EndedJob(Protocol):
    """A job, as a row of `jobs` or as read from one."""

    @property
    def envelope(self) -> JobEnvelope: ...


@dataclass(frozen=True)
class Delivery:
    """One event for one receiver; `id` is its `webhook-id`, whatever the number of attempts."""

    id: str
    job: str
    tenant: str
    url: str
    host: str
    type: str
    body: str
    state: DeliveryState
    attempts: int
    created_at: datetime
    next_at: datetime | None
    taken_until: datetime | None
    last_status: int | None
    last_error: str | None
    delivered_at: datetime | None


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


class Deliveries:
    """What callers see of their tenant's deliveries."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(self, tenant: str, *, after: str | None, limit: int) -> list[Delivery]:
        """At most `limit` of them, newest first, older than the delivery `after`."""
        query = _of(tenant).order_by(deliveries.c.created_at.desc(), deliveries.c.id.desc()).limit(limit)
        with reading(self._engine, tenant=tenant) as connection:
            if after is not None:
                mark = connection.execute(_of(tenant).where(deliveries.c.id == after)).one_or_none()
                if mark is None:
                    return []
                beside = and_(deliveries.c.created_at == mark.created_at, deliveries.c.id < mark.id)
                query = query.where(or_(deliveries.c.created_at < mark.created_at, beside))
            return [delivery_of(row) for row in connection.execute(query)]

    def replay(self, tenant: str, delivery: str, *, at: datetime) -> Delivery | None:
        """Send it again from now on, under the same id; what is known against its receiver is forgotten.

        None: no such delivery. One that is just being sent stays as it is.
        """
        mine = and_(deliveries.c.tenant == tenant, deliveries.c.id == delivery)
        idle = or_(deliveries.c.taken_until.is_(None), deliveries.c.taken_until <= at)
        again = {"state": "pending", "attempts": 0, "next_at": at, "taken_until": None, "delivered_at": None}
        with writing(self._engine, tenant=tenant) as connection:
            connection.execute(update(deliveries).where(mine, idle).values(again))
            row = connection.execute(_of(tenant).where(deliveries.c.id == delivery)).one_or_none()
            if row is None:
                return None
            known = and_(endpoints.c.tenant == tenant, endpoints.c.url_hash == receiver(row.url))
            connection.execute(delete(endpoints).where(known))
            return delivery_of(row)


def _of(tenant: str) -> Select[Any]:
    return select(deliveries).where(deliveries.c.tenant == tenant)


def delivery_of(row: Row[Any]) -> Delivery:
    """A row that holds at least the columns of `deliveries`."""
    return Delivery(**{column.name: getattr(row, column.name) for column in deliveries.c})
