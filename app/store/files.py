"""Rows of uploaded files; the bytes are in the tenant's bucket under `key`."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Select, and_, insert, or_, select

from app.store.engine import reading, writing
from app.store.tables import files


@dataclass(frozen=True)
class StoredFile:
    """One uploaded file."""

    id: str
    tenant: str
    filename: str
    bytes: int
    purpose: str
    key: str
    sha256: str | None
    created_at: datetime
    status: str = "processed"
    expires_at: datetime | None = None


class Files:
    """The files of all tenants. Every method takes the tenant and sees only its rows."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, file: StoredFile) -> None:
        """Make the row; called once the bytes are in the bucket, so that a row always leads to bytes."""
        with writing(self._engine) as connection:
            connection.execute(insert(files).values(asdict(file)))

    def get(self, tenant: str, file: str) -> StoredFile | None:
        with reading(self._engine) as connection:
            row = connection.execute(_of(tenant).where(files.c.id == file)).mappings().one_or_none()
        return StoredFile(**row) if row else None

    def list(self, tenant: str, *, after: str | None, limit: int, purpose: str | None = None) -> list[StoredFile]:
        """At most `limit` files, newest first, older than the file `after`, of the purpose where one is given."""
        query = _of(tenant).order_by(files.c.created_at.desc(), files.c.id.desc()).limit(limit)
        if purpose is not None:
            query = query.where(files.c.purpose == purpose)
        if after is not None:
            mark = self.get(tenant, after)
            if mark is None:
                return []
            older = and_(files.c.created_at == mark.created_at, files.c.id < mark.id)
            query = query.where(or_(files.c.created_at < mark.created_at, older))
        with reading(self._engine) as connection:
            return [StoredFile(**row) for row in connection.execute(query).mappings()]


def _of(tenant: str) -> Select[Any]:
    """The one place where a tenant's rows are told from others'."""
    return select(files).where(files.c.tenant == tenant)
