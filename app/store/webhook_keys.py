"""Generations of tenants' webhook secrets: which of them sign now. The secrets themselves are derived, never stored."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, and_, insert, select, update

from app.store.dialects import hold_tenant
from app.store.engine import reading, writing
from app.store.tables import webhook_keys

OVERLAP = timedelta(hours=24)  # in which the generation before a new one still signs beside it
MOST_LIVE = 3  # generations that sign at once; a header has room for no more signatures than receivers need
FIRST = 1  # signs before anybody has asked for a secret


@dataclass(frozen=True)
class Generation:
    """One generation of a tenant's secret. `expires_at` is None for the newest."""

    generation: int
    created_at: datetime
    expires_at: datetime | None


class WebhookKeys:
    """The generations of all tenants."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def live(self, tenant: str, *, at: datetime) -> list[int]:
        """Numbers of the generations that sign at this time, newest first, never none."""
        with reading(self._engine, tenant=tenant) as connection:
            known = _generations(connection, tenant)
        return [one.generation for one in known if one.expires_at is None or one.expires_at > at] or [FIRST]

    def list(self, tenant: str) -> list[Generation]:
        """All that were ever shown, newest first."""
        with reading(self._engine, tenant=tenant) as connection:
            return _generations(connection, tenant)

    def rotate(self, tenant: str, *, at: datetime) -> Generation:
        """The next generation. The first time it is the one that has signed since ever, which nobody has seen yet."""
        with writing(self._engine, tenant=tenant) as connection:
            hold_tenant(connection, tenant)
            known = _generations(connection, tenant)
            made = Generation(known[0].generation + 1 if known else FIRST, at, None)
            mine = webhook_keys.c.tenant == tenant
            newest = and_(mine, webhook_keys.c.expires_at.is_(None))
            connection.execute(update(webhook_keys).where(newest).values(expires_at=at + OVERLAP))
            too_old = webhook_keys.c.generation <= made.generation - MOST_LIVE
            late = and_(mine, too_old, webhook_keys.c.expires_at > at)
            connection.execute(update(webhook_keys).where(late).values(expires_at=at))
            row = {"tenant": tenant, "generation": made.generation, "created_at": at}
            connection.execute(insert(webhook_keys).values(row))
        return made


def _generations(connection: Connection, tenant: str) -> list[Generation]:
    query = select(webhook_keys).where(webhook_keys.c.tenant == tenant).order_by(webhook_keys.c.generation.desc())
    rows = connection.execute(query)
    return [Generation(row.generation, row.created_at, row.expires_at) for row in rows]
