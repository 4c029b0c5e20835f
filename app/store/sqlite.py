"""SQLite as the store: one file, a write-ahead log, one writer at a time, on the disk with every commit."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from app.store import schema

WRITES = {"tenon_writes": True}  # execution option of a transaction that takes the write lock at its beginning
REMEDY = "make the folder, free space on the disk, make the file writable, or end the process that holds it"


def engine(url: URL, *, busy_seconds: float) -> Engine:
    made = create_engine(url, connect_args={"timeout": busy_seconds})
    event.listen(made, "connect", _set_up)
    event.listen(made, "begin", _begin)
    return made


def prepare(engine: Engine) -> None:
    """Make the file and its tables where they are missing, or bring them to our revision; one process at a time.

    Raises OSError, WrongRevision, sqlite3.Error.
    """
    with _locked(Path(str(engine.url.database)).parent):
        _use_write_ahead_log(engine)
        with engine.connect().execution_options(**WRITES) as connection, connection.begin():
            schema.prepare(connection)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """SQLite itself waits for no lock while it changes the mode of a file."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _use_write_ahead_log(engine: Engine) -> None:
    """Turn the mode on for good; no transaction may be open while it changes."""
    with closing(engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA journal_mode = WAL")


def _set_up(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy says so, see _begin
    for pragma in ("synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("tenon_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
