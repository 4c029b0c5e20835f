"""The tables: what is kept of jobs, and of all that happens to them. Migrations make them; a test compares."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    TypeDecorator,
)


class Moment(TypeDecorator[datetime]):
    """A point in time, always in UTC; SQLite itself would lose the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


metadata = MetaData()
# SQLite counts in INTEGER columns alone.
Serial = BigInteger().with_variant(Integer, "sqlite")

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),  # rises with every change; every UPDATE names the one it read
    Column("attempt", Integer, nullable=False),  # number of the newest attempt, 0 before the first
    Column("envelope", Text, nullable=False),
    Column("metadata", JSON, nullable=False),  # the envelope's, to be searched
    Column("request_hash", String(64), nullable=False),
    Column("traceparent", String(64)),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("finished_at", Moment),
    Column("error", Text),
    Column("error_code", String(64)),
    Column("numbers", JSON, nullable=False),
    Index("jobs_by_age", "tenant", "created_at", "id"),
    Index("jobs_by_state", "state", "tenant", "created_at", "id"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("job", ForeignKey("jobs.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("tenant", String(32), nullable=False),
    Column("workflow", String(63), nullable=False, unique=True),
    Column("slot", Integer),  # isolation hard: whose account the ranks run as
    Column("created_at", Moment, nullable=False),
    Column("confirmed_at", Moment),  # when the workflow was known to exist
    Column("admitted_at", Moment),  # when Kueue let it run, or the machine had room
    Column("step", String(16)),
    Column("finished_at", Moment),
    Index("attempts_by_end", "finished_at", "confirmed_at"),
    Index("attempts_by_tenant", "tenant", "finished_at"),
    Index("attempts_by_age", "created_at", "job"),
)

events = Table(
    "events",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("job", ForeignKey("jobs.id"), nullable=False),
    Column("tenant", String(32), nullable=False),
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
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("topic", String(64), nullable=False),
    Column("key", String(64)),  # the tenant, as the broker's partitions have it
    Column("headers", JSON, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("published_at", Moment, nullable=False),
    Column("due_at", Moment, nullable=False),  # not to be taken before
    Column("taken_until", Moment),  # by a consumer, which may have died since
    Index("messages_by_due_time", "topic", "due_at", "id"),
    sqlite_autoincrement=True,
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("topic", String(64), nullable=False),  # where it was found
    Column("position", String(64), nullable=False),  # there: partition and offset, or the id of a row
    Column("key", String(64)),
    Column("tenant", String(64)),  # as far as it could be read
    Column("headers", JSON, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("reason", String(64), nullable=False),  # a code, by which they are listed
    Column("error", Text, nullable=False),
    Column("traceparent", String(64)),
    Column("redrives", Integer, nullable=False),  # how often it was sent again before it came here
    Column("rejected_at", Moment, nullable=False),
    Column("settled_at", Moment),
    Column("settled", String(16)),  # redriven or discarded
    Index("dead_letters_by_age", "settled_at", "rejected_at"),
    sqlite_autoincrement=True,
)

files = Table(
    "files",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(32), nullable=False),
    Column("filename", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("key", Text, nullable=False),
    Column("sha256", String(64)),  # None while a presigned upload is on its way
    Column("status", String(16), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Index("files_by_age", "tenant", "created_at", "id"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("job", ForeignKey("jobs.id"), nullable=False),
    Column("tenant", String(32), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("step", Integer, nullable=False),  # of the optimizer
    Column("metrics", JSON, nullable=False),
    Column("created_at", Moment, nullable=False),
    Index("checkpoints_by_job", "job", "attempt", "step", unique=True),
    sqlite_autoincrement=True,
)

ledger = Table(
    "ledger",
    metadata,
    Column("job", String(64), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("tenant", String(32), nullable=False),
    Column("month", String(7), nullable=False),  # YYYY-MM of the attempt's end, UTC
    Column("usage", JSON, nullable=False),
    Column("waited_seconds", Numeric(14, 3), nullable=False),  # between the begin of the attempt and its admission
    Column("amount", Numeric(14, 4), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("final", Integer, nullable=False),  # 0 while the attempt still runs
    Column("changed_at", Moment, nullable=False),
    ForeignKeyConstraint(["job", "attempt"], ["attempts.job", "attempts.number"]),
    Index("ledger_by_month", "tenant", "month"),
)

deliveries = Table(  # the outbox of webhooks: written with what they tell of, in one transaction
    "deliveries",
    metadata,
    Column("id", String(64), primary_key=True),  # webhook-id, the receiver's idempotency key
    Column("job", ForeignKey("jobs.id"), nullable=False),
    Column("tenant", String(32), nullable=False),
    Column("url", Text, nullable=False),
    Column("host", String(255), nullable=False),
    Column("type", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(16), nullable=False),  # pending, delivered, refused, given_up
    Column("attempts", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("next_at", Moment),
    Column("taken_until", Moment),
    Column("last_status", Integer),
    Column("last_error", Text),
    Column("delivered_at", Moment),
    Index("deliveries_by_due_time", "state", "next_at"),
    Index("deliveries_by_tenant", "tenant", "created_at", "id"),
    Index("deliveries_by_job", "job", "created_at"),
)

endpoints = Table(  # the circuit breaker of each receiver
    "endpoints",
    metadata,
    Column("tenant", String(32), primary_key=True),
    Column("url_hash", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),  # in a row
    Column("open_until", Moment),
    Column("disabled_at", Moment),  # it answered 410
)

webhook_keys = Table(  # generations; the secrets themselves are derived and stand nowhere
    "webhook_keys",
    metadata,
    Column("tenant", String(32), primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("at", Moment, nullable=False),
    Column("tenant", String(64)),
    Column("actor", Text, nullable=False),  # who: key id, subject of a token, or an operator's name
    Column("action", String(64), nullable=False),
    Column("resource", Text, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reason", Text),
    Column("request_id", String(64)),
    Column("trace_id", String(32)),
    Column("client", String(64)),
    Column("previous", String(64), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),  # over the row and the one before it
    sqlite_autoincrement=True,
)
