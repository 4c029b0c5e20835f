"""What SQLite and PostgreSQL spell differently; every other statement is one text for both."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, String, Table, and_, func, select
from sqlalchemy.dialects import postgresql, sqlite

SQLITE, POSTGRESQL = "sqlite", "postgresql"


def insert_new(connection: Connection, table: Table) -> Any:
    """An INSERT that can say `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return sqlite.insert(table) if connection.dialect.name == SQLITE else postgresql.insert(table)


def holds_pair(connection: Connection, column: ColumnElement[Any], *, key: str, value: str) -> ColumnElement[bool]:
    """Whether a JSON object of texts holds the pair; the key is compared and never part of a path."""
    if connection.dialect.name == POSTGRESQL:
        return func.json_extract_path_text(column, key, type_=String) == value
    pair = func.json_each(column).table_valued("key", "value")
    return select(pair).where(and_(pair.c.key == key, pair.c.value == value)).exists()


def hold_tenant(connection: Connection, tenant: str) -> None:
    """Let no other transaction that holds the tenant go on before this one has ended: what is counted stays true.

    SQLite has one writer at a time already.
    """
    if connection.dialect.name == POSTGRESQL:
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"tenant {tenant}", 0))))
