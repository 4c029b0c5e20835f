"""The way into the store: one engine per process, short transactions, faults with a remedy."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError

from app.store.tables import metadata

BUSY_SECONDS = 10  # how long a writer waits for another one before the store counts as locked


class StoreUnavailable(Exception):  # noqa: N818 - the name is the fact
    """The store cannot be opened, read or written now; nothing of the transaction was kept."""


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
def reading(engine: Engine, *, tenant: str | None = None) -> Iterator[Connection]:
    """A transaction that sees one state of the store. Raises StoreUnavailable."""
    with _mended(engine), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine, *, tenant: str | None = None) -> Iterator[Connection]:
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
