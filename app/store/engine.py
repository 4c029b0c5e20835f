"""The way into the store: one engine per process, short transactions, faults with a remedy."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
    TimeoutError,  # noqa: A004 - SQLAlchemy's: no connection of the pool came free
)

from app.store import postgresql, roles, schema, sqlite
from app.store.dialects import POSTGRESQL, SQLITE
from app.store.schema import WrongRevision

BUSY_SECONDS = 10  # how long a writer waits for another one before the store counts as locked
_WHAT_TO_GIVE = "give sqlite:////absolute/path or postgresql+psycopg://user:password@host/database"


class StoreUnavailable(Exception):  # noqa: N818 - the name is the fact
    """The store cannot be opened, read or written now; nothing of the transaction was kept."""


def open_store(url: str) -> Engine:
    """An engine over the store. Raises StoreUnavailable.

    A file of SQLite is made or migrated; PostgreSQL is migrated by `python -m app migrate` and only looked at here.
    """
    engine = connect(url)
    try:
        with _mended(engine):
            if engine.dialect.name == SQLITE:
                sqlite.prepare(engine)
            else:
                postgresql.expect_migrated(engine)
    except StoreUnavailable:
        engine.dispose()
        raise
    except (OSError, sqlite3.Error, WrongRevision) as error:
        engine.dispose()
        raise StoreUnavailable(f"store {shown(engine.url)}: {error}; {_remedy(engine, error)}") from error
    return engine


def migrate_store(url: str, *, to: str = schema.NEWEST) -> str | None:
    """Bring a store to our revision, or back to an empty one; the revision it has then. Raises StoreUnavailable."""
    engine = connect(url)
    try:
        with writing(engine) as connection:
            schema.migrate(connection, to=to)
            return schema.revision(connection)
    except WrongRevision as error:
        raise StoreUnavailable(f"store {shown(engine.url)}: {error}; {error.remedy}") from error
    finally:
        engine.dispose()


def make_roles(url: str) -> tuple[str, ...]:
    """Make a role per service in PostgreSQL; their names. Raises StoreUnavailable."""
    engine = connect(url)
    try:
        if engine.dialect.name != POSTGRESQL:
            raise StoreUnavailable(f"store {shown(engine.url)}: has no roles; they are for PostgreSQL")
        with writing(engine) as connection:
            roles.make_roles(connection)
    except ProgrammingError as error:
        text = f"{' '.join(str(error.orig).split())}; migrate it first, as a user with CREATEROLE who owns the tables"
        raise StoreUnavailable(f"store {shown(engine.url)}: {text}") from error
    finally:
        engine.dispose()
    return tuple(roles.GRANTS)


def connect(url: str) -> Engine:
    """An engine over the store as it is; nothing is looked at, made or migrated. Raises StoreUnavailable."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:  # its text may hold a password, and is not shown
        raise StoreUnavailable(f"TENON_STORE_URL: is no URL; {_WHAT_TO_GIVE}") from error
    if parsed.drivername in {"sqlite", "sqlite+pysqlite"} and parsed.database:
        return sqlite.engine(parsed, busy_seconds=BUSY_SECONDS)
    if parsed.drivername == "postgresql+psycopg":
        return postgresql.engine(parsed, busy_seconds=BUSY_SECONDS)
    raise StoreUnavailable(f"TENON_STORE_URL: {shown(parsed)} is not served; {_WHAT_TO_GIVE}")


@contextmanager
def reading(engine: Engine, *, tenant: str | None = None) -> Iterator[Connection]:
    """A transaction that sees one state of the store. Raises StoreUnavailable.

    tenant: whom it serves; PostgreSQL then shows no other tenant's rows, whatever the statement asks for.
    """
    options = postgresql.SNAPSHOT if engine.dialect.name == POSTGRESQL else {}
    with _mended(engine), engine.connect().execution_options(**options) as connection, connection.begin():
        serve(connection, tenant)
        yield connection


@contextmanager
def writing(engine: Engine, *, tenant: str | None = None) -> Iterator[Connection]:
    """A transaction that is on the disk when the block has ended. Raises StoreUnavailable.

    SQLite has one at a time: what it read stays true until it commits. On PostgreSQL that holds for rows that were read
    `with_for_update`, and for what `hold_tenant` guards. tenant: as in `reading`.
    """
    with _mended(engine), engine.connect().execution_options(**sqlite.WRITES) as connection, connection.begin():
        serve(connection, tenant)
        yield connection


def shown(url: URL) -> str:
    """A URL without its password, and without its options, which may hold another."""
    return repr(url.set(query={}))


def serve(connection: Connection, tenant: str | None) -> None:
    """Show this transaction the rows of one tenant only, from now on; PostgreSQL's row security holds it to that."""
    if tenant is not None and connection.dialect.name == POSTGRESQL:
        connection.execute(select(func.set_config("tenon.tenant", tenant, True)))  # noqa: FBT003 - until it ends


@contextmanager
def _mended(engine: Engine) -> Iterator[None]:
    """Faults of the database itself; a broken constraint is the caller's fault and passes."""
    try:
        yield
    except TimeoutError as error:
        text = f"store {shown(engine.url)}: all connections are in use; {_remedy(engine)}"
        raise StoreUnavailable(text) from error
    except DBAPIError as error:
        if not _is_outage(error):
            raise
        cause = " ".join(str(error.orig).split())
        raise StoreUnavailable(f"store {shown(engine.url)}: {cause}; {_remedy(engine, error)}") from error


def _is_outage(error: DBAPIError) -> bool:
    """Outages are OperationalError; sqlite3 calls a file that is no database DatabaseError itself.

    PostgreSQL has InternalError for a transaction that was ended from outside, or that a standby refuses to write.
    """
    return isinstance(error, OperationalError | InterfaceError | InternalError) or type(error) is DatabaseError


def _remedy(engine: Engine, error: Exception | None = None) -> str:
    if isinstance(error, WrongRevision):
        return error.remedy
    return sqlite.REMEDY if engine.dialect.name == SQLITE else postgresql.REMEDY
