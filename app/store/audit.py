"""The audit's rows: one chain, in which each digest covers its row and the digest before it.

A row that is changed, removed, put between others or moved breaks the chain there. A tail that is cut off leaves a
shorter chain that holds; who remembers a head (`tenon audit verify --head`) notices that too.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NotRequired, TypedDict

from sqlalchemy import Connection, Engine, Row, func, insert, select

from app.store.engine import reading
from app.store.tables import audit

GENESIS = "0" * 64  # before the first row
MOST_CHARACTERS = 512  # of a text; columns with a length have fewer
_LOCK = 7_236_411  # PostgreSQL's advisory lock of those who append
_PAGE = 1000
_LENGTHS = {column.name: getattr(column.type, "length", None) or MOST_CHARACTERS for column in audit.c}


class Change(TypedDict):
    """What is told of one change."""

    actor: str  # `key:<id>`, `oidc:<subject>`, `account:<namespace>/<name>`, or an operator's `user:<name>`
    tenant: str | None
    action: str  # method and route, or the command
    resource: str  # what was changed
    outcome: str  # done, refused or failed
    reason: NotRequired[str | None]
    request_id: NotRequired[str | None]
    trace_id: NotRequired[str | None]
    client: NotRequired[str | None]  # address


@dataclass(frozen=True)
class Record:
    """A change with its time, as every database keeps it: texts are printable and of bounded length."""

    at: datetime
    actor: str
    tenant: str | None
    action: str
    resource: str
    outcome: str
    reason: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    client: str | None = None

    @classmethod
    def of(cls, change: Change) -> "Record":
        fitting: dict[str, Any] = {name: _fit(name, text) for name, text in change.items()}
        return cls(at=datetime.now(UTC), **fitting)


@dataclass(frozen=True)
class Broken:
    """The first row at which the chain does not hold."""

    row: int
    why: str


@dataclass(frozen=True)
class Verified:
    """How far the chain holds; `head` is the digest of its last row."""

    rows: int
    head: str
    broken: Broken | None


def append(connection: Connection, records: Sequence[Record]) -> None:
    """Add records to the chain, in a transaction of `writing`; others who append wait until it has ended."""
    if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    last = connection.execute(select(audit.c.id, audit.c.digest).order_by(audit.c.id.desc()).limit(1)).one_or_none()
    number, previous = (last.id, last.digest) if last else (0, GENESIS)
    rows = []
    for record in records:
        number += 1
        row = {"id": number, **vars(record), "previous": previous}
        previous = row["digest"] = _digest(row)
        rows.append(row)
    connection.execute(insert(audit), rows)


def verify(engine: Engine, *, head: str | None = None) -> Verified:
    """Walk the chain from its beginning, a page at a time. head: a digest it must hold. Raises StoreUnavailable."""
    number, previous, has_head = 0, GENESIS, head in {None, GENESIS}
    with reading(engine) as connection:
        for row in _rows(connection):
            if broken := _fault(row, number, previous):
                return Verified(number, previous, broken)
            number, previous = row.id, row.digest
            has_head = has_head or row.digest == head
    missing = Broken(number + 1, "the remembered head is not in the chain: its end was cut off, or made anew")
    return Verified(number, previous, None if has_head else missing)


def _fault(row: Row[Any], number: int, previous: str) -> Broken | None:
    """What is wrong with the row that follows the row `number` with the digest `previous`."""
    if row.id != number + 1:
        gap = f"row {number + 1}" if row.id == number + 2 else f"rows {number + 1} to {row.id - 1}"
        return Broken(number + 1, f"{gap} missing before row {row.id}")
    if row.previous != previous:
        return Broken(row.id, "it does not follow the row before it: a row was put in, moved or made anew")
    if row.digest != _digest(dict(row._mapping)):  # noqa: SLF001 - SQLAlchemy's public way to a row as a mapping
        return Broken(row.id, "its content is not what its digest was made of: it was changed")
    return None


def _rows(connection: Connection) -> Iterator[Row[Any]]:
    after = -(2**63)  # a row put before the first one is seen too
    while found := connection.execute(select(audit).where(audit.c.id > after).order_by(audit.c.id).limit(_PAGE)).all():
        yield from found
        after = found[-1].id


def _digest(row: dict[str, Any]) -> str:
    """Over canonical JSON: names sorted, no blanks, ASCII, time in UTC to the microsecond."""
    at = row["at"].astimezone(UTC).isoformat(timespec="microseconds")
    covered = {name: value for name, value in row.items() if name != "digest"} | {"at": at}
    line = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(line.encode()).hexdigest()


def _fit(name: str, given: object) -> str | None:
    if given is None:
        return None
    printable = text if (text := str(given)).isprintable() else "".join(c if c.isprintable() else "?" for c in text)
    return printable[: _LENGTHS[name]]
