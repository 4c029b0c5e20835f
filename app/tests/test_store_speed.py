"""10,000 jobs of one tenant in the store: what a page or a count costs does not grow with its depth.

Costs are counted, not timed: steps of SQLite's virtual machine, and PostgreSQL's plans.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, text

from app.contract.job import JobState
from app.store.attempts import Attempts
from app.store.engine import open_store, reading, writing
from app.store.jobs import Jobs
from app.store.tables import events, jobs
from app.tests.local import START, envelope

MANY, LIMIT = 10_000, 20
STEP = 100  # instructions between two counts


def fill(engine: Engine) -> None:
    """Jobs of acme, a minute apart; the newest hundred are queued."""
    stored, at = envelope("job").model_dump_json(by_alias=True), START
    common = {"tenant": "acme", "version": 1, "attempt": 0, "envelope": stored, "request_hash": "h", "numbers": {}}
    rows = [
        {
            **common,
            "id": f"job{number:05}",
            "state": JobState.QUEUED if number >= MANY - 100 else JobState.SUCCEEDED,
            "metadata": {"team": str(number % 10)},
            "created_at": at + timedelta(minutes=number),
        }
        for number in range(MANY)
    ]
    told = {"tenant": "acme", "level": "info", "type": "message", "message": "queued", "data": {}, "created_at": at}
    with writing(engine) as connection:
        connection.execute(insert(jobs), rows)
        connection.execute(insert(events), [{**told, "job": row["id"]} for row in rows])


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder: Path = tmp_path_factory.mktemp("speed")
    engine = open_store(f"sqlite:///{folder}/store.db")
    fill(engine)
    yield engine
    engine.dispose()


def steps(engine: Engine, action: Callable[[], object]) -> int:
    """How many instructions the statements of an action take."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += STEP
        return 0

    raw = engine.raw_connection()
    driver = raw.driver_connection
    assert driver is not None
    raw.close()  # back into the pool, from which the action takes it again
    driver.set_progress_handler(count, STEP)
    try:
        action()
    finally:
        driver.set_progress_handler(None, 0)
    return counted


@pytest.mark.requirement("A11")
def test_a_page_costs_the_same_at_any_depth(full: Engine) -> None:
    store = Jobs(full)
    marks = [None, *(f"job{MANY - 1 - depth:05}" for depth in (100, 5000, MANY - LIMIT - 1))]
    costs = [steps(full, partial(store.list, "acme", after=mark, limit=LIMIT)) for mark in marks]
    assert len(store.list("acme", after=marks[-1], limit=LIMIT)) == LIMIT
    assert 0 < max(costs) <= 2 * min(costs)
    assert max(costs) < MANY


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.events("acme", "job05000", after=None, limit=LIMIT),
        lambda store: store.same_request("acme", "h", since=START + timedelta(minutes=MANY - 5)),
        lambda store: store.position("acme", f"job{MANY - 100:05}"),
        lambda store: store.list("acme", after=None, limit=LIMIT, metadata={"team": "3"}),
        lambda store: store.insert_or_ignore(envelope("new"), traceparent=None, most_queued=1000),
        lambda store: store.cancel("acme", "job09990"),
        lambda store: Attempts(store.engine).waiting(each=2),
        lambda store: Attempts(store.engine).begin(f"job{MANY - 100:05}", cap=1000),
        lambda store: Attempts(store.engine).served_last(),
        lambda store: Attempts(store.engine).live(),
    ],
)
def test_what_is_asked_often_walks_through_no_other_jobs(full: Engine, ask: Callable[[Jobs], object]) -> None:
    assert steps(full, lambda: ask(Jobs(full))) < 2 * MANY / 3


def plan(engine: Engine, action: Callable[[], object]) -> str:
    """How the database carries out the last statement of an action."""
    asked = list[tuple[str, Any]]()

    def note(*call: Any) -> None:
        asked.append((call[2], call[3]))

    event.listen(engine, "before_cursor_execute", note)
    action()
    event.remove(engine, "before_cursor_execute", note)
    statement, parameters = asked[-1]
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    with reading(engine, tenant="acme") as connection:
        return "\n".join(row[-1] for row in connection.exec_driver_sql(f"{explain} {statement}", parameters))


def test_counting_reads_an_index_and_no_job(full: Engine) -> None:
    assert "USING COVERING INDEX jobs_by_state" in plan(full, lambda: Jobs(full).counts("acme"))


@pytest.mark.services
def test_postgresql_seeks_the_page_in_its_index_under_row_security_too(postgres: str) -> None:
    engine = open_store(postgres)
    fill(engine)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE jobs"))
    page = plan(engine, lambda: Jobs(engine).list("acme", after="job00050", limit=LIMIT))
    assert "Index Scan Backward using jobs_by_age" in page
    assert "ROW(created_at, " in page.partition("Index Cond")[2].partition("Filter")[0]
    engine.dispose()
