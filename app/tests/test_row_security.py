"""PostgreSQL itself keeps tenants apart, and gives each service the least it needs."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import ProgrammingError

from app.contract.job import JobState
from app.jobs.state import Move
from app.store import roles
from app.store.attempts import Attempts
from app.store.audit import Change, Record, append
from app.store.engine import StoreUnavailable, make_roles, open_store, reading, writing
from app.store.jobs import Jobs
from app.store.tables import events, jobs, metadata
from app.tests.local import START, envelope
from app.tests.postgres import PostgresServer

pytestmark = pytest.mark.services
NOT_OF_CALLERS = {"messages", "dead_letters", "audit"}


@dataclass
class Logins:
    """One store, as its owner and as each service."""

    owner: Engine
    server: PostgresServer
    opened: dict[str, Engine]

    def __getitem__(self, role: str) -> Engine:
        if role not in self.opened:
            self.server.execute(f"DROP ROLE IF EXISTS login_{role}")
            self.server.execute(f"CREATE ROLE login_{role} LOGIN IN ROLE {role}")
            url = self.server.url(str(self.owner.url.database), user=f"login_{role}")
            self.opened[role] = open_store(url)
        return self.opened[role]


@pytest.fixture
def logins(postgres: str, postgres_server: PostgresServer) -> Iterator[Logins]:
    make_roles(postgres)
    made = Logins(open_store(postgres), postgres_server, {})
    for tenant in ("acme", "globex"):
        told = envelope(f"of-{tenant}", tenant).model_copy(update={"callback_url": f"https://hooks.{tenant}.example"})
        Jobs(made.owner).insert_or_ignore(told, traceparent=None)
    yield made
    for engine in (made.owner, *made.opened.values()):
        engine.dispose()


def seen(engine: Engine, *, tenant: str | None) -> set[str]:
    """Whose jobs a statement without any filter gets."""
    with reading(engine, tenant=tenant) as connection:
        return set(connection.execute(select(jobs.c.tenant)).scalars())


def test_every_table_with_tenants_rows_is_protected(logins: Logins) -> None:
    tables = {table.name for table in metadata.sorted_tables if "tenant" in table.c}
    assert tables - NOT_OF_CALLERS == roles.OF_TENANTS
    forced = text("SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity")
    with reading(logins.owner) as connection:
        assert set(connection.execute(forced).scalars()) == roles.OF_TENANTS


@pytest.mark.parametrize("role", [None, roles.INGEST])
def test_a_forgotten_filter_shows_no_other_tenants_row(logins: Logins, role: str | None) -> None:
    engine = logins[role] if role else logins.owner
    assert seen(engine, tenant="acme") == {"acme"}
    assert seen(engine, tenant="globex") == {"globex"}
    assert seen(engine, tenant="initech") == set()


def test_a_transaction_leaves_no_tenant_behind_in_its_connection(logins: Logins) -> None:
    engine = logins[roles.INGEST]
    seen(engine, tenant="acme")
    assert engine.pool.status().startswith("Pool size: 5  Connections in pool: 1")
    assert seen(engine, tenant=None) == set()
    assert seen(logins.owner, tenant=None) == {"acme", "globex"}


def test_ingest_neither_changes_nor_makes_another_tenants_row(logins: Logins) -> None:
    with writing(logins[roles.INGEST], tenant="acme") as connection:
        assert connection.execute(text("UPDATE jobs SET error = 'x' WHERE tenant = 'globex'")).rowcount == 0
    theirs = events.insert().values(
        job="of-globex", tenant="globex", level="info", type="message", message="x", data={}, created_at=START
    )
    with (
        pytest.raises(ProgrammingError, match="row-level security"),
        writing(logins[roles.INGEST], tenant="acme") as connection,
    ):
        connection.execute(theirs)


def test_ingest_does_all_that_callers_ask_for(logins: Logins) -> None:
    store = Jobs(logins[roles.INGEST])
    assert store.insert_or_ignore(envelope("new"), traceparent=None, most_queued=2)
    assert not store.insert_or_ignore(envelope("new"), traceparent=None)
    assert not store.insert_or_ignore(envelope("of-globex"), traceparent=None)  # an id that another tenant has
    assert [job.id for job in store.list("acme", after=None, limit=9, metadata={})] == ["of-acme", "new"]
    for ask, state in ((store.pause, "paused"), (store.resume, "queued"), (store.cancel, "cancelled")):
        job = ask("acme", "of-acme")
        assert job is not None
        assert job.state == state
    assert (store.position("acme", "new"), store.running("acme")) == (1, 0)
    assert store.cancel("acme", "of-globex") is None
    with writing(logins[roles.INGEST]) as connection:
        told: Change = {"actor": "key:k", "tenant": "acme", "action": "a", "resource": "r", "outcome": "done"}
        append(connection, [Record.of(told)])


@pytest.mark.parametrize("statement", ["SELECT actor FROM audit", "DELETE FROM audit", "SELECT * FROM dead_letters"])
def test_ingest_reads_no_audit_and_no_dead_letters(logins: Logins, statement: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), writing(logins[roles.INGEST]) as connection:
        connection.execute(text(statement))


def test_dispatcher_and_watcher_see_all_tenants_and_end_jobs(logins: Logins) -> None:
    dispatcher, watcher = Attempts(logins["tenon_dispatcher"]), Attempts(logins["tenon_watcher"])
    for job in dispatcher.waiting(each=9):
        assert dispatcher.begin(job.id, cap=1)
    for attempt in watcher.unconfirmed():
        assert dispatcher.confirm([attempt]) == []
        watcher.note_step(attempt, "train")
        assert watcher.progress(attempt.job.id, 1, numbers={"loss": 1.0}, data={})
        assert watcher.finish(attempt, Move.SUCCEED)
    for tenant in ("acme", "globex"):
        assert Jobs(logins.owner).counts(tenant)[JobState.SUCCEEDED] == 1


def test_whoever_may_make_no_roles_is_told_what_is_needed(logins: Logins) -> None:
    engine = logins[roles.INGEST]
    with pytest.raises(StoreUnavailable, match="as a user with CREATEROLE who owns the tables"):
        make_roles(engine.url.render_as_string(hide_password=False))
