"""Outages of the store: told with a remedy, nothing half-written, and on it goes afterwards."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError

from app.store import engine as engines
from app.store.engine import StoreUnavailable, open_store, reading, writing
from app.store.jobs import Jobs
from app.store.tables import events, jobs
from app.tests.local import envelope
from app.tests.postgres import PASSWORD, PostgresServer
from trainer.tests.s3 import free_ports

FILLER = Path(__file__).parent / "fill_store.py"


def kept(engine: Engine) -> list[str]:
    """The jobs of the store; each has the one event that was written with it."""
    with reading(engine) as connection:
        rows = list(connection.execute(select(jobs.c.id).order_by(jobs.c.id)).scalars())
        told = list(connection.execute(select(events.c.job).order_by(events.c.job)).scalars())
    assert rows == told
    return rows


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nothing:secret", "is no URL"),
        ("postgresql://user:secret@host/db", "not served; give sqlite"),
        ("mysql://user:secret@host/db?password=secret", "not served"),
        ("sqlite://", "not served"),
        ("sqlite:///{folder}/missing/store.db", "No such file"),
        ("sqlite:///{folder}/text.db", "not a database"),
        ("postgresql+psycopg://user:secret@127.0.0.1:{port}/db?password=secret", "see whether the server runs"),
    ],
)
def test_a_store_that_cannot_be_opened_names_the_remedy_and_no_password(tmp_path: Path, url: str, told: str) -> None:
    (tmp_path / "text.db").write_text("no database at all, only text\n" * 100)
    with pytest.raises(StoreUnavailable, match=told) as refused:
        open_store(url.format(folder=tmp_path, port=free_ports(1)[0]))
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_store_at_its_greatest_size_loses_nothing_that_was_acknowledged(engine: Engine) -> None:
    store = Jobs(engine)
    store.insert_or_ignore(envelope("kept"), traceparent=None)
    with engine.connect() as connection:  # SQLite's own way to be full
        connection.execute(text("PRAGMA max_page_count = 1"))
    large = envelope("large", metadata={"text": "x" * 100_000})
    with pytest.raises(StoreUnavailable, match="free space"):
        store.insert_or_ignore(large, traceparent=None)
    assert kept(engine) == ["kept"]


def test_a_disk_that_fills_up_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    filled = subprocess.run(
        [sys.executable, str(FILLER), url, "900000"], check=True, capture_output=True, text=True, env=os.environ
    )
    *acknowledged, refusal = filled.stdout.splitlines()
    assert "free space on the disk" in refusal
    assert len(acknowledged) > 10
    engine = open_store(url)
    assert kept(engine) == sorted(acknowledged)
    with reading(engine) as connection:
        assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
    assert Jobs(engine).insert_or_ignore(envelope("there-is-room-again"), traceparent=None)
    engine.dispose()


def test_a_damaged_file_is_an_outage_and_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    engine = open_store(f"sqlite:///{file}")
    for number in range(20):
        Jobs(engine).insert_or_ignore(envelope(f"job{number}"), traceparent=None)
    engine.dispose()  # the log is written back into the file
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(StoreUnavailable, match="malformed"):
        Jobs(engine).list("acme", after=None, limit=9)
    engine.dispose()
    file.write_bytes(whole)  # restored
    assert len(kept(engine)) == 20
    engine.dispose()


def test_a_locked_store_is_an_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.05)
    engine = open_store(f"sqlite:///{tmp_path}/store.db")
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            Jobs(engine).insert_or_ignore(envelope("job"), traceparent=None)
    assert Jobs(engine).insert_or_ignore(envelope("job"), traceparent=None)
    engine.dispose()


def test_a_broken_constraint_is_no_outage(any_engine: Engine) -> None:
    row = {"job": "nobody", "tenant": "acme", "level": "info", "type": "message", "message": "x", "data": {}}
    with pytest.raises(IntegrityError), writing(any_engine) as connection:
        connection.execute(events.insert().values(**row, created_at=envelope("x").created_at))


@pytest.mark.services
def test_a_row_that_somebody_holds_is_an_outage_in_the_end(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.2)
    engine = open_store(postgres)
    store = Jobs(engine)
    store.insert_or_ignore(envelope("job"), traceparent=None)
    with writing(engine) as holder:
        holder.execute(select(jobs).with_for_update())
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            store.cancel("acme", "job")
    assert store.cancel("acme", "job") is not None
    engine.dispose()


@pytest.mark.services
def test_all_connections_in_use_is_an_outage(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.2)
    engine = open_store(postgres)
    held = [engine.connect() for _ in range(16)]
    with pytest.raises(StoreUnavailable, match="all connections are in use"):
        Jobs(engine).find("job")
    for connection in held:
        connection.close()
    assert Jobs(engine).find("job") is None
    engine.dispose()


@pytest.mark.services
@pytest.mark.requirement("A13")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGQUIT])
def test_a_restart_of_postgresql_in_the_middle_loses_and_doubles_nothing(
    postgres: str, postgres_server: PostgresServer, ending: signal.Signals
) -> None:
    engine, enough, is_back = open_store(postgres), threading.Event(), threading.Event()
    store, outages = Jobs(engine), list[str]()

    def insert(writer: int) -> list[str]:
        acknowledged, number = list[str](), 0
        while not is_back.is_set() or number < 20:
            job = f"job-{writer}-{number:04}"
            try:
                store.insert_or_ignore(envelope(job), traceparent=None)
            except StoreUnavailable as outage:
                outages.append(str(outage))  # and the same job once more, as a consumer does
            else:
                acknowledged.append(job)
                number += 1
                if number == 20:
                    enough.set()
        return acknowledged

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(insert, writer) for writer in range(4)]
        assert enough.wait(60)
        postgres_server.restart(ending)
        is_back.set()
        acknowledged = [job for writer in writers for job in writer.result(60)]
    assert kept(engine) == sorted(acknowledged)
    assert outages
    assert not any(PASSWORD in outage for outage in outages)
    engine.dispose()


@pytest.mark.services
def test_the_command_migrates_and_says_so(postgres_server: PostgresServer, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "TENON_STORE_URL": postgres_server.make_database(),
        "TENON_DIRECTORY_URL": tmp_path.as_uri(),
    }

    def run(process: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "app", process]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    early = run("dispatcher")
    assert (early.returncode, "run `python -m app migrate`" in early.stderr) == (3, True)
    assert run("migrate").stdout == "the store has revision 1_02\n"
    assert "GRANT tenon_ingest TO <login>;" in run("roles").stdout
