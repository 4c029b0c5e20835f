"""The audit: who changed what, when, and whether it was allowed. One chain of records; the store keeps them.

A record is durable when `note` returns. Operators' commands write one at a time; requests that come at once share
transactions, so that the audit costs them one wait for the disk together and not one each.
"""

import json
import logging
from dataclasses import asdict
from typing import Protocol, Unpack

from sqlalchemy import Engine

from app.store.audit import Change, Record, append
from app.store.commits import GroupCommit
from app.store.engine import StoreUnavailable, writing

_log = logging.getLogger(__name__)


class Audit:
    """For commands and loops."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def note(self, **change: Unpack[Change]) -> None:
        """Keep a record. Raises StoreUnavailable."""
        with writing(self._engine) as connection:
            append(connection, [Record.of(change)])


class Trail(Protocol):
    """The audit as the API uses it."""

    async def note(self, **change: Unpack[Change]) -> None:
        """Keep a record. Raises StoreUnavailable, after the record is in the log."""


class StoredTrail:
    """Records in the store's chain, in shared transactions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._commits = GroupCommit(self._write)

    async def note(self, **change: Unpack[Change]) -> None:
        record = Record.of(change)
        try:
            await self._commits.add(record)
        except StoreUnavailable:
            _log.error("audit record that the store did not take: %s", _line(record))
            raise

    def _write(self, records: list[Record]) -> None:
        with writing(self._engine) as connection:
            append(connection, records)


class LoggedTrail:
    """Records as log lines, where the API runs without a store (serverless): the platform's log keeps them."""

    async def note(self, **change: Unpack[Change]) -> None:
        _log.info("audit %s", _line(Record.of(change)))


def _line(record: Record) -> str:
    return json.dumps({key: value for key, value in asdict(record).items() if value is not None}, default=str)
