"""The outbox of webhooks as its senders see it: due rows are taken for a while, then settled or put off.

Several senders may run at once. A row that was taken and not settled, because its sender died, is due again when its
lease has run out: a receiver can get it twice, under one id, and never not at all.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, and_, delete, exists, func, or_, select, update

from app.delivery.receiver import receiver
from app.delivery.schedule import breaker, wait
from app.store.deliveries import Delivery, DeliveryState, delivery_of
from app.store.dialects import insert_new
from app.store.engine import reading, writing
from app.store.tables import deliveries, endpoints, jobs

LEASE = timedelta(seconds=60)  # longer than one attempt can take
OF_TENANT, OF_RECEIVER = 4, 2  # deliveries on their way at once, over all senders


@dataclass(frozen=True)
class Taken:
    """A delivery that is ours until its lease ends, with the trace of its job."""

    delivery: Delivery
    traceparent: str | None


@dataclass(frozen=True)
class Fault:
    """Why an attempt failed; asked: how long the receiver wants to be left in peace."""

    error: str
    status: int | None = None
    asked: timedelta | None = None


class Outbox:
    """All tenants' deliveries; no caller ever gets at these methods."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def due(self, *, at: datetime, limit: int) -> list[str]:
        """Ids of what waits to be taken: the first few of each receiver, then of each tenant, then of all."""
        with reading(self._engine) as connection:
            return list(connection.execute(_chosen(at, limit)).scalars())

    def take(self, *, at: datetime, limit: int) -> list[Taken]:
        """At most `limit` due deliveries, of many tenants before many of one, and of each job in order."""
        if not (due := self.due(at=at, limit=limit)):  # mostly, and it locks nothing
            return []
        with writing(self._engine) as connection:
            rows = _allowed(connection, connection.execute(_locked(due, at)).all(), at)
            traces = {row.id: row.traceparent for row in rows}
            mine = deliveries.c.id.in_(traces)
            taken = {"taken_until": at + LEASE, "attempts": deliveries.c.attempts + 1}
            connection.execute(update(deliveries).where(mine).values(taken))
            found = connection.execute(select(deliveries).where(mine).order_by(deliveries.c.next_at, deliveries.c.id))
            return [Taken(delivery_of(row), traces[row.id]) for row in found]

    def deliver(self, delivery: Delivery, *, status: int, at: datetime) -> None:
        """It has arrived; true even when the lease had ended meanwhile."""
        with writing(self._engine) as connection:
            connection.execute(delete(endpoints).where(_endpoint_of(delivery)))
            _settle(connection, _pending(delivery), "delivered", {"last_status": status, "delivered_at": at})

    def refuse(self, delivery: Delivery, *, error: str) -> None:
        """It may not be sent, and will not be."""
        with writing(self._engine) as connection:
            _settle(connection, _pending(delivery), "refused", {"last_error": error})

    def disable(self, delivery: Delivery, *, status: int, at: datetime) -> None:
        """The receiver wants no more: neither this one nor what waits for it. A replay asks it again."""
        with writing(self._engine) as connection:
            _note(connection, delivery, failures=0, changed={"disabled_at": at})
            seen = {"last_status": status, "last_error": f"the receiver answered {status}"}
            _settle(connection, _of_receiver(delivery), "refused", seen)

    def fail(self, delivery: Delivery, fault: Fault, *, at: datetime, jitter: float) -> bool:
        """Put it off by the schedule, and its receiver by the breaker or as it asked. False: it is given up."""
        later = wait(delivery.attempts, jitter=jitter)
        seen = {"last_status": fault.status, "last_error": fault.error}
        with writing(self._engine) as connection:
            self._count(connection, delivery, fault, at)
            ours = and_(_pending(delivery), deliveries.c.taken_until == delivery.taken_until)
            if later is None:
                _settle(connection, ours, "given_up", seen)
            else:
                next_at = at + max(later, fault.asked or later)
                connection.execute(update(deliveries).where(ours).values(next_at=next_at, taken_until=None, **seen))
        return later is not None

    def _count(self, connection: Connection, delivery: Delivery, fault: Fault, at: datetime) -> None:
        """One more failure in a row; what waits for a receiver is put off as long as its breaker is open."""
        raised = {"failures": endpoints.c.failures + 1}
        failures = _note(connection, delivery, failures=1, changed=raised)
        pauses = [pause for pause in (breaker(failures), fault.asked) if pause is not None]
        if pauses:
            until = at + max(pauses)
            connection.execute(update(endpoints).where(_endpoint_of(delivery)).values(open_until=until))
            waiting = and_(_of_receiver(delivery), deliveries.c.next_at < until, _is_free(at))
            connection.execute(update(deliveries).where(waiting).values(next_at=until))


def _is_free(at: datetime) -> ColumnElement[bool]:
    return or_(deliveries.c.taken_until.is_(None), deliveries.c.taken_until <= at)


def _due(at: datetime) -> ColumnElement[bool]:
    return and_(deliveries.c.state == "pending", deliveries.c.next_at <= at, _is_free(at))


def _follows() -> ColumnElement[bool]:
    """Whether an earlier event of the same job is still to be sent."""
    earlier = deliveries.alias()
    # both columns of an index, or SQLite would walk all that is pending, for each row
    same = and_(earlier.c.job == deliveries.c.job, earlier.c.created_at <= deliveries.c.created_at)
    before = or_(earlier.c.created_at < deliveries.c.created_at, earlier.c.id < deliveries.c.id)
    return exists().where(same, before, earlier.c.state == "pending")


def _chosen(at: datetime, limit: int) -> Select[Any]:
    by_age = (deliveries.c.next_at, deliveries.c.id)
    place = func.row_number().over(partition_by=(deliveries.c.tenant, deliveries.c.url), order_by=by_age)
    columns = (deliveries.c.id, deliveries.c.tenant, deliveries.c.next_at)
    of_receiver = select(*columns, place.label("place")).where(_due(at), ~_follows()).subquery()
    turn = func.row_number().over(
        partition_by=of_receiver.c.tenant, order_by=(of_receiver.c.place, of_receiver.c.next_at, of_receiver.c.id)
    )
    first = of_receiver.c.place <= OF_RECEIVER
    of_tenant = select(of_receiver.c.id, of_receiver.c.next_at, turn.label("turn")).where(first).subquery()
    fair = select(of_tenant.c.id).where(of_tenant.c.turn <= OF_TENANT)
    return fair.order_by(of_tenant.c.turn, of_tenant.c.next_at, of_tenant.c.id).limit(limit)


def _locked(ids: Sequence[str], at: datetime) -> Select[Any]:
    """Those of the rows that no other sender has taken since or is just taking."""
    rows = select(deliveries, jobs.c.traceparent).join(jobs, jobs.c.id == deliveries.c.job)
    due = rows.where(deliveries.c.id.in_(ids), _due(at)).order_by(deliveries.c.next_at, deliveries.c.id)
    return due.with_for_update(of=deliveries, skip_locked=True)


def _allowed(connection: Connection, rows: Iterable[Row[Any]], at: datetime) -> list[Row[Any]]:
    """Those whose receiver is neither disabled, nor put off, nor busy; the first are refused, the second put off."""
    found = list(rows)
    busy = _on_their_way(connection, at)
    of_tenant: Counter[str] = Counter()
    for (tenant, _url), number in busy.items():
        of_tenant[tenant] += number
    known, allowed = _known(connection, found), []
    for row in found:
        key, endpoint = (row.tenant, row.url), known.get((row.tenant, receiver(row.url)))
        if endpoint is not None and endpoint.disabled_at is not None:
            error = {"last_error": "the receiver answered 410 before; replay it when it takes events again"}
            _settle(connection, deliveries.c.id == row.id, "refused", error)
        elif endpoint is not None and endpoint.open_until is not None and endpoint.open_until > at:
            put_off = update(deliveries).where(deliveries.c.id == row.id)
            connection.execute(put_off.values(next_at=endpoint.open_until))
        elif busy[key] < _most(endpoint) and of_tenant[row.tenant] < OF_TENANT:
            busy[key] += 1
            of_tenant[row.tenant] += 1
            allowed.append(row)
    return allowed


def _most(endpoint: Row[Any] | None) -> int:
    """After the breaker was open, one delivery tries the receiver alone."""
    return 1 if endpoint is not None and breaker(endpoint.failures) is not None else OF_RECEIVER


def _on_their_way(connection: Connection, at: datetime) -> Counter[tuple[str, str]]:
    taken = and_(deliveries.c.state == "pending", deliveries.c.taken_until > at)
    query = select(deliveries.c.tenant, deliveries.c.url, func.count().label("number")).where(taken)
    rows = connection.execute(query.group_by(deliveries.c.tenant, deliveries.c.url))
    return Counter({(row.tenant, row.url): row.number for row in rows})


def _known(connection: Connection, rows: Iterable[Row[Any]]) -> dict[tuple[str, str], Row[Any]]:
    hashes = {receiver(row.url) for row in rows}
    found = connection.execute(select(endpoints).where(endpoints.c.url_hash.in_(hashes)))
    return {(row.tenant, row.url_hash): row for row in found}


def _pending(delivery: Delivery) -> ColumnElement[bool]:
    return and_(deliveries.c.id == delivery.id, deliveries.c.state == "pending")


def _of_receiver(delivery: Delivery) -> ColumnElement[bool]:
    """What is still to be sent to the same URL of the same tenant."""
    same = and_(deliveries.c.tenant == delivery.tenant, deliveries.c.url == delivery.url)
    return and_(same, deliveries.c.state == "pending")


def _endpoint_of(delivery: Delivery) -> ColumnElement[bool]:
    return and_(endpoints.c.tenant == delivery.tenant, endpoints.c.url_hash == receiver(delivery.url))


def _note(connection: Connection, delivery: Delivery, *, failures: int, changed: Mapping[str, Any]) -> int:
    """Make the receiver's row, or change the one there is; its failures in a row."""
    row = {"tenant": delivery.tenant, "url_hash": receiver(delivery.url), "failures": failures}
    fresh = {name: value for name, value in changed.items() if name != "failures"}
    made = insert_new(connection, endpoints).values(**row, **fresh)
    keys = [endpoints.c.tenant, endpoints.c.url_hash]
    counted = made.on_conflict_do_update(index_elements=keys, set_=dict(changed)).returning(endpoints.c.failures)
    return int(connection.execute(counted).scalar_one())


def _settle(connection: Connection, which: ColumnElement[bool], state: DeliveryState, seen: Mapping[str, Any]) -> None:
    ended = {"state": state, "next_at": None, "taken_until": None, "last_error": None, **seen}
    connection.execute(update(deliveries).where(which).values(ended))
