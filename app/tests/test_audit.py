"""The audit: one chain in which every later change shows, on both databases."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from sqlalchemy import Engine, delete, func, insert, select, update

from app.audit import Audit, StoredTrail
from app.store.audit import GENESIS, MOST_CHARACTERS, Change, Record, append, verify
from app.store.engine import StoreUnavailable, open_store, reading, writing
from app.store.tables import audit

ROWS = 12
PROCESSES, EACH = 2, 25
APPENDING = """
import sys
from app.audit import Audit
from app.store.engine import open_store
trail = Audit(open_store(sys.argv[1]))
print(flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    trail.note(actor="user:one", tenant=None, action="try", resource=f"{sys.argv[3]}-{number}", outcome="done")
"""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres"))
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def store(store_url: str) -> Iterator[Engine]:
    made = open_store(store_url)
    yield made
    made.dispose()


def change(number: int = 0, **told: str | None) -> Change:
    made: Change = {
        "actor": "key:acme",
        "tenant": "acme",
        "action": "POST /api/finetune",
        "resource": f"job-{number}",
        "outcome": "done",
    }
    return {**made, **told}  # type: ignore[typeddict-item]


def fill(store: Engine) -> str:
    """Some rows; the head."""
    with writing(store) as connection:
        append(connection, [Record.of(change(number)) for number in range(ROWS)])
    return verify(store).head


def test_what_was_written_holds_and_its_head_is_remembered(store: Engine) -> None:
    head = fill(store)
    Audit(store).note(**change(ROWS))
    found = verify(store, head=head)
    assert (found.rows, found.broken) == (ROWS + 1, None)
    assert verify(store, head=GENESIS).broken is None


def test_an_empty_audit_holds(store: Engine) -> None:
    assert (verify(store).rows, verify(store).head) == (0, GENESIS)


def edit_text(store: Engine) -> None:
    with writing(store) as connection:
        connection.execute(update(audit).where(audit.c.id == 5).values(outcome="refused"))


def edit_time(store: Engine) -> None:
    with writing(store) as connection:
        at = connection.execute(select(audit.c.at).where(audit.c.id == 6)).scalar_one()
        connection.execute(update(audit).where(audit.c.id == 5).values(at=at))


def remove(store: Engine) -> None:
    with writing(store) as connection:
        connection.execute(delete(audit).where(audit.c.id == 5))


def remove_and_close_the_gap(store: Engine) -> None:
    remove(store)
    with writing(store) as connection:
        for number in range(6, ROWS + 1):
            connection.execute(update(audit).where(audit.c.id == number).values(id=number - 1))


def put_between(store: Engine) -> None:
    """A row with a digest of its own, the later ones moved up."""
    with writing(store) as connection:
        row = dict(connection.execute(select(audit).where(audit.c.id == 4)).one()._mapping)
        for number in range(ROWS, 4, -1):
            connection.execute(update(audit).where(audit.c.id == number).values(id=number + 1))
        connection.execute(insert(audit).values(**{**row, "id": 5, "digest": "f" * 64}))


def swap(store: Engine) -> None:
    with writing(store) as connection:
        for old, new in ((5, 99), (6, 5), (99, 6)):
            connection.execute(update(audit).where(audit.c.id == old).values(id=new))


def put_first(store: Engine) -> None:
    with writing(store) as connection:
        row = dict(connection.execute(select(audit).where(audit.c.id == 1)).one()._mapping)
        connection.execute(insert(audit).values(**{**row, "id": 0, "digest": "f" * 64}))


@pytest.mark.parametrize(
    ("tamper", "row", "why"),
    [
        (edit_text, 5, "it was changed"),
        (edit_time, 5, "it was changed"),
        (remove, 5, "row 5 missing"),
        (remove_and_close_the_gap, 5, "does not follow"),
        (put_between, 5, "does not follow"),
        (swap, 5, "does not follow"),
        (put_first, 1, "missing before row 0"),
    ],
)
def test_the_first_row_that_breaks_the_chain_is_named(
    store: Engine, tamper: Callable[[Engine], None], row: int, why: str
) -> None:
    fill(store)
    tamper(store)
    broken = verify(store).broken
    assert broken is not None
    assert (broken.row, why in broken.why) == (row, True)


def test_a_tail_that_was_cut_off_shows_only_to_who_remembers_the_head(store: Engine) -> None:
    head = fill(store)
    with writing(store) as connection:
        connection.execute(delete(audit).where(audit.c.id > ROWS - 3))
    assert verify(store).broken is None
    broken = verify(store, head=head).broken
    assert broken is not None
    assert "cut off" in broken.why


def test_processes_that_write_at_once_make_one_chain(store: Engine, store_url: str) -> None:
    command = [sys.executable, "-c", APPENDING, store_url, str(EACH)]
    started = [
        subprocess.Popen(
            [*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        for number in range(PROCESSES)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "\n"
    outputs = [process.communicate("go\n", timeout=60) for process in started]
    assert [process.returncode for process in started] == [0] * PROCESSES, outputs
    found = verify(store)
    assert (found.rows, found.broken) == (PROCESSES * EACH, None)


def test_requests_that_come_at_once_share_transactions(store: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    trail, batches = StoredTrail(store), []
    write = trail._write

    def counted(records: list[Record]) -> None:
        batches.append(len(records))
        write(records)

    monkeypatch.setattr(trail._commits, "_write", counted)

    async def all_at_once() -> None:
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(partial(trail.note, **change(number)))

    anyio.run(all_at_once)
    assert (verify(store).rows, verify(store).broken) == (100, None)
    assert sum(batches) == 100
    assert len(batches) < 20


def test_requests_of_several_loops_share_the_audit(store: Engine) -> None:
    trail = StoredTrail(store)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: anyio.run(partial(trail.note, **change(number))), range(20)))
    assert (verify(store).rows, verify(store).broken) == (20, None)


def test_a_record_that_the_store_does_not_take_is_told_and_logged(
    store: Engine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    trail = StoredTrail(store)

    def full(_records: object) -> None:
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(trail._commits, "_write", full)
    with pytest.raises(StoreUnavailable, match="disk full"):
        anyio.run(partial(trail.note, **change(7)))
    assert '"resource": "job-7"' in caplog.text
    monkeypatch.undo()
    anyio.run(partial(trail.note, **change(8)))
    assert verify(store).rows == 1


def test_a_request_that_is_given_up_leaves_the_others_records(store: Engine) -> None:
    trail = StoredTrail(store)

    async def first_is_cancelled() -> None:
        async with anyio.create_task_group() as given_up:
            given_up.start_soon(partial(trail.note, **change(1)))
            await anyio.lowlevel.checkpoint()
            given_up.cancel_scope.cancel()
        await trail.note(**change(2))

    anyio.run(first_is_cancelled)
    assert (verify(store).rows, verify(store).broken) == (2, None)


def test_texts_that_no_database_keeps_are_made_fit(store: Engine) -> None:
    Audit(store).note(**change(actor="oidc:\0\ud800" + "x" * 1000, reason="é" * 9, client=None))
    with reading(store) as connection:
        row = connection.execute(select(audit)).one()
    assert (len(row.actor), row.actor[:8], row.reason) == (MOST_CHARACTERS, "oidc:??x", "é" * 9)
    assert verify(store).broken is None


def test_a_long_chain_is_walked_in_pages(store: Engine) -> None:
    trail = StoredTrail(store)
    for _ in range(5):
        trail._write([_record(number) for number in range(500)])
    assert (verify(store).rows, verify(store).broken) == (2500, None)
    with reading(store) as connection:
        assert connection.execute(select(func.max(audit.c.id))).scalar_one() == 2500


def _record(number: int) -> Record:
    return Record.of(change(number))
