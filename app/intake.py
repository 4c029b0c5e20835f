"""How an admitted request becomes durable: as a message, and as the row that its caller sees at once.

Where queue and rows are in one store, both are written in one transaction, and requests that come at once share it:
waiting for the disk costs most. Elsewhere the broker comes first (DESIGN section 5), and the row may follow later.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from sqlalchemy import Connection, Engine, insert

from app.broker.queue import BrokerUnavailable, Publisher
from app.broker.sql import row_of
from app.contract.job import JobEnvelope
from app.store.commits import GroupCommit
from app.store.dialects import SQLITE
from app.store.engine import StoreUnavailable, serve, writing
from app.store.insertion import make, make_all
from app.store.jobs import Jobs
from app.store.tables import messages

_log = logging.getLogger(__name__)


class Intake(Protocol):
    """Takes jobs, each once."""

    @property
    def finds_repeats(self) -> bool:
        """Whether a job that is there already is found before anything is published."""

    async def take(self, envelope: JobEnvelope, *, traceparent: str, most_queued: int | None) -> bool:
        """Return when the job is durable. False: a job of this id was there.

        most_queued: the tenant's limit, where it may be near; a job beyond it is made as one that failed.
        Raises BrokerUnavailable when nothing was kept.
        """


@dataclass
class _Entering:
    envelope: JobEnvelope
    traceparent: str
    most_queued: int | None
    is_made: bool = False
    fault: Exception | None = None


class StoreIntake:
    """`Intake` for the queue in the store: row, history and message of a job stand there together or not at all."""

    finds_repeats = True

    def __init__(self, engine: Engine, *, has_queue: bool = True) -> None:
        """has_queue: the queue is in this store, and not in a broker that has the message already."""
        self._engine = engine
        self._has_queue = has_queue
        self._commits = GroupCommit(self._write)

    async def take(self, envelope: JobEnvelope, *, traceparent: str, most_queued: int | None) -> bool:
        entering = _Entering(envelope, traceparent, most_queued)
        try:
            await self._commits.add(entering)
        except StoreUnavailable as error:
            raise BrokerUnavailable(str(error)) from error
        if entering.fault is not None:
            raise entering.fault
        return entering.is_made

    def _write(self, entering: list[_Entering]) -> None:
        try:
            self._write_together(entering)
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 - of one of them; the others must not suffer from it
            for one in entering:
                try:
                    self._write_together([one])
                except Exception as error:  # noqa: BLE001 - raised where it belongs
                    one.fault = error

    def _write_together(self, entering: list[_Entering]) -> None:
        with writing(self._engine) as connection:
            for tenant, group in _groups(entering, together=self._engine.dialect.name == SQLITE):
                serve(connection, tenant)
                _make_rows(connection, group)
            if self._has_queue and (made := [one for one in entering if one.is_made]):
                rows = [row_of(one.envelope, traceparent=one.traceparent) for one in made]
                connection.execute(insert(messages), rows)


def _make_rows(connection: Connection, group: Sequence[_Entering]) -> None:
    """Of one tenant, or of all. Where two of a group have one id, the first is made."""
    roomy = {one.envelope.id: one for one in reversed(group) if one.most_queued is None}
    ids = make_all(connection, [(one.envelope, one.traceparent) for one in roomy.values()])
    for one in group:
        if one.most_queued is None:
            one.is_made = one.envelope.id in ids and one is roomy[one.envelope.id]
        else:
            quota = one.most_queued
            one.is_made = make(connection, one.envelope, traceparent=one.traceparent, most_queued=quota)


class BrokerIntake:
    """`Intake` for a broker of its own; the consumer makes the row where we cannot."""

    finds_repeats = False

    def __init__(self, publisher: Publisher, jobs: Jobs | None) -> None:
        """jobs: None where there is no store in reach."""
        self._publisher = publisher
        self._rows = None if jobs is None else StoreIntake(jobs.engine, has_queue=False)

    async def take(self, envelope: JobEnvelope, *, traceparent: str, most_queued: int | None) -> bool:
        await self._publisher.publish(envelope, traceparent=traceparent)
        if self._rows is None:
            return True
        try:
            return await self._rows.take(envelope, traceparent=traceparent, most_queued=most_queued)
        except BrokerUnavailable as error:  # the store's outage; the broker has acknowledged the job
            _log.warning("job %s is queued, its row follows: %s", envelope.id, error)
            return True


def _groups(entering: Sequence[_Entering], *, together: bool) -> list[tuple[str | None, list[_Entering]]]:
    """By tenant, where the database holds a transaction to one tenant's rows at a time."""
    if together:
        return [(None, list(entering))]
    ordered = sorted(entering, key=lambda one: one.envelope.tenant)
    return [(tenant, list(group)) for tenant, group in groupby(ordered, key=lambda one: one.envelope.tenant)]
