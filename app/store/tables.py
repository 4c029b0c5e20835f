"""The tables and the way in: one engine per process, short transactions, faults with a remedy."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    DateTime,
    Dialect,
    Engine,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    create_engine,
    event,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError

BUSY_SECONDS = 10  # how long a writer waits for another one before the store counts as locked


class StoreUnavailable(Exception):  # noqa: N818 - the name is the fact
    """The store cannot be opened, read or written now; nothing of the transaction was kept."""


class Moment(TypeDecorator[datetime]):
    """A point in time, always in UTC; SQLite itself would lose the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value.replace(tzinfo=UTC) if value is not None else None


metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),  # rises with every change; every UPDATE names the one it read
    Column("attempt", Integer, nullable=False),  # number of the newest attempt, 0 before the first
    Column("envelope", Text, nullable=False),
    Column("traceparent", String(64)),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("finished_at", Moment),
    Column("error", Text),
    Column("numbers", JSON, nullable=False),
    Index("jobs_by_age", "tenant", "created_at", "id"),
    Index("jobs_by_state", "state", "attempt", "tenant", "created_at"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("job", ForeignKey("jobs.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("workflow", String(63), nullable=False, unique=True),
    Column("created_at", Moment, nullable=False),
    Column("confirmed_at", Moment),  # when the workflow was known to exist
    Column("step", String(16)),
    Column("finished_at", Moment),
    Index("attempts_by_end", "finished_at", "confirmed_at"),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job", ForeignKey("jobs.id"), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("level", String(8), nullable=False),
    Column("type", String(16), nullable=False),
    Column("message", Text, nullable=False),
    Column("data", JSON, nullable=False),
    Index("events_by_job", "job", "id"),
    sqlite_autoincrement=True,  # ids are cursors: never given twice
)

messages = Table(
    "messages",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("topic", String(64), nullable=False),
    Column("headers", JSON, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("published_at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("topic", String(64), nullable=False),
    Column("message", Integer, nullable=False),  # id it had in its topic
    Column("headers", JSON, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("traceparent", String(64)),
    Column("rejected_at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

files = Table(
    "files",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(32), nullable=False),
    Column("filename", Text, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("key", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", Moment, nullable=False),
    Index("files_by_age", "tenant", "created_at", "id"),
)


def open_store(url: str) -> Engine:
    """An engine over the store, its tables made where they are missing. Raises StoreUnavailable."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreUnavailable(f"TENON_STORE_URL: {url!r} is no URL; give sqlite:////absolute/path") from error
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise StoreUnavailable(f"TENON_STORE_URL: {parsed!r} is not served by this version; give sqlite:////file")
    try:
        _use_write_ahead_log(Path(parsed.database))
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailable(f"store {parsed!r}: {error}; {_REMEDY}") from error
    engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    with writing(engine) as connection:
        metadata.create_all(connection)
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees one state of the store. Raises StoreUnavailable."""
    with _mended(engine), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that is on the disk when the block has ended. Raises StoreUnavailable.

    It takes SQLite's write lock at its beginning: what it read stays true until it commits.
    """
    with _mended(engine), engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
        yield connection


_WRITES = "tenon_writes"
_REMEDY = "make the folder, free space on the disk, make the file writable, or end the process that holds it"


def _use_write_ahead_log(path: Path) -> None:
    """Turn the mode on for good, one process at a time: SQLite waits for no lock while it changes the mode."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    finally:
        os.close(folder)


@contextmanager
def _mended(engine: Engine) -> Iterator[None]:
    """Faults of the database itself; a broken constraint is the caller's fault and passes."""
    try:
        yield
    except (DatabaseError, InterfaceError) as error:
        if not _is_outage(error):
            raise
        raise StoreUnavailable(f"store {engine.url!r}: {error.orig}; {_REMEDY}") from error


def _is_outage(error: DatabaseError | InterfaceError) -> bool:
    """sqlite3 calls outages OperationalError, and a file that is no database DatabaseError itself."""
    return type(error.orig).__name__ in {"OperationalError", "DatabaseError", "InterfaceError"}


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy says so, see _begin_sqlite
    for pragma in ("synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
