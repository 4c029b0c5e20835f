"""Rows of uploaded files; the bytes are in the tenant's bucket under `key`."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Select, and_, delete, insert, or_, select, update

from app.store.engine import reading, writing
from app.store.tables import files

PROCESSED = "processed"
UPLOADING = "uploading"  # its owner sends the bytes to the object store, and tells us at the end


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
    status: str = PROCESSED
    expires_at: datetime | None = None


class Files:
    """The files of all tenants. Every method takes the tenant and sees only its rows."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, file: StoredFile) -> None:
        """Make the row: once the bytes are in the bucket, or as UPLOADING, which no job and no list knows yet."""
        with writing(self._engine, tenant=file.tenant) as connection:
            connection.execute(insert(files).values(asdict(file)))

    def get(self, tenant: str, file: str, *, status: str = PROCESSED) -> StoredFile | None:
        with reading(self._engine, tenant=tenant) as connection:
            query = _of(tenant).where(files.c.id == file, files.c.status == status)
            row = connection.execute(query).mappings().one_or_none()
        return StoredFile(**row) if row else None

    def complete(self, tenant: str, file: str, *, sha256: str) -> bool:
        """The bytes have arrived. False: no such upload is on its way."""
        with writing(self._engine, tenant=tenant) as connection:
            mine = and_(files.c.tenant == tenant, files.c.id == file, files.c.status == UPLOADING)
            arrived = {"status": PROCESSED, "sha256": sha256, "expires_at": None}
            return connection.execute(update(files).where(mine).values(arrived)).rowcount == 1

    def delete(self, tenant: str, file: str) -> bool:
        """Remove the row; called once the bytes are gone, so that a fault between the two is mended by a repetition."""
        with writing(self._engine, tenant=tenant) as connection:
            mine = and_(files.c.tenant == tenant, files.c.id == file)
            return connection.execute(delete(files).where(mine)).rowcount == 1

    def expired(self, tenant: str, *, at: datetime, limit: int) -> list[StoredFile]:
        """Uploads that never arrived."""
        late = _of(tenant).where(files.c.status == UPLOADING, files.c.expires_at < at)
        with reading(self._engine, tenant=tenant) as connection:
            return [StoredFile(**row) for row in connection.execute(late.limit(limit)).mappings()]

    def list(self, tenant: str, *, after: str | None, limit: int, purpose: str | None = None) -> list[StoredFile]:
        """At most `limit` files, newest first, older than the file `after`, of the purpose where one is given."""
        query = _of(tenant).where(files.c.status == PROCESSED)
        query = query.order_by(files.c.created_at.desc(), files.c.id.desc()).limit(limit)
        if purpose is not None:
            query = query.where(files.c.purpose == purpose)
        if after is not None:
            mark = self.get(tenant, after)
            if mark is None:
                return []
            older = and_(files.c.created_at == mark.created_at, files.c.id < mark.id)
            query = query.where(or_(files.c.created_at < mark.created_at, older))
        with reading(self._engine, tenant=tenant) as connection:
            return [StoredFile(**row) for row in connection.execute(query).mappings()]


def _of(tenant: str) -> Select[Any]:
    """The one place where a tenant's rows are told from others'."""
    return select(files).where(files.c.tenant == tenant)
