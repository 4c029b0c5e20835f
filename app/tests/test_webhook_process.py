"""The sender of webhooks as the process that operators start, and with the rights that it is given in PostgreSQL."""

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import anyio
import pytest
from sqlalchemy import Engine

from app.delivery.dialling import system_resolver
from app.delivery.signing import read_keys
from app.settings import SettingsError
from app.store.deliveries import Deliveries, Delivery
from app.store.engine import make_roles, open_store
from app.store.jobs import Jobs
from app.store.outbox import Fault, Outbox
from app.store.webhook_keys import WebhookKeys
from app.tests.cast import tenant_entry, write_directory
from app.tests.local import envelope
from app.tests.postgres import PostgresServer


def end(engine: Engine, job: str, url: str) -> None:
    jobs = Jobs(engine)
    jobs.insert_or_ignore(envelope(job).model_copy(update={"callback_url": url}), traceparent=None)
    jobs.cancel("acme", job)


def environment(folder: Path, key: bytes = b"k" * 32) -> dict[str, str]:
    (folder / "webhook.key").write_bytes(key)
    inside = tenant_entry("acme").model_copy(update={"callbacks": ("localhost",)})
    return {
        "PATH": os.environ["PATH"],
        "TENON_STORE_URL": f"sqlite:///{folder}/store.db",
        "TENON_DIRECTORY_URL": write_directory(folder / "directory", inside),
        "TENON_WEBHOOK_KEY_FILE": str(folder / "webhook.key"),
    }


def test_the_process_refuses_what_lies_inside_and_ends_when_it_is_told(engine: Engine, tmp_path: Path) -> None:
    end(engine, "job", "https://localhost/?token=secret-of-the-receiver")
    command = [sys.executable, "-m", "app", "webhooks"]
    with subprocess.Popen(command, env=environment(tmp_path), stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 30
        while (told := only(engine)).last_error is None:
            assert time.monotonic() < deadline, "the process took nothing up"
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        log = process.communicate(timeout=30)[1]
    assert (told.last_error, told.state, told.attempts) == ("address refused: a name inside", "pending", 1)
    assert (process.returncode, "secret-of-the-receiver" in log) == (0, False)


def only(engine: Engine) -> Delivery:
    [found] = Deliveries(engine).list("acme", after=None, limit=9)
    return found


@pytest.mark.parametrize("key", [b"", b"short\n", b" " * 40])
def test_a_master_key_that_is_none_is_told_with_the_remedy(tmp_path: Path, key: bytes) -> None:
    path = tmp_path / "webhook.key"
    path.write_bytes(key)
    with pytest.raises(SettingsError, match="a master key has 32 at the least; head -c 32"):
        read_keys(path)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_keys(tmp_path / "absent")


def test_names_are_asked_for_as_absolute_ones_in_both_families(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def look(host: str, port: int, *, type: socket.SocketKind) -> list[object]:  # noqa: A002
        asked.append(host)
        if host.startswith("none"):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(2, type, 6, "", ("93.184.215.14", port)), (10, type, 6, "", ("fe80::1%lo", port, 0, 1))]

    monkeypatch.setattr(socket, "getaddrinfo", look)
    resolve = system_resolver(2)
    assert anyio.run(resolve, "hooks.acme.example") == [ip_address("93.184.215.14"), ip_address("fe80::1%lo")]
    assert anyio.run(resolve, "none.example") == []
    assert asked == ["hooks.acme.example.", "none.example."]  # no search domain of a cluster is tried


@pytest.mark.services
def test_sender_and_api_need_no_more_than_their_roles(postgres: str, postgres_server: PostgresServer) -> None:
    make_roles(postgres)
    owner, at = open_store(postgres), datetime.now(UTC) + timedelta(seconds=5)
    logins = {}
    for service in ("webhooks", "ingest"):
        postgres_server.execute(f"DROP ROLE IF EXISTS hooks_{service}")
        postgres_server.execute(f"CREATE ROLE hooks_{service} LOGIN IN ROLE tenon_{service}")
        logins[service] = open_store(postgres_server.url(str(owner.url.database), user=f"hooks_{service}"))
    end(logins["ingest"], "job", "https://hooks.acme.example/")
    outbox = Outbox(logins["webhooks"])
    [taken] = outbox.take(at=at, limit=9)
    assert outbox.fail(taken.delivery, Fault("no answer"), at=at, jitter=0.5)
    api, keys = Deliveries(logins["ingest"]), WebhookKeys(logins["ingest"])
    assert keys.rotate("acme", at=at).generation == 1
    assert WebhookKeys(logins["webhooks"]).live("acme", at=at) == [1]
    assert [one.last_error for one in api.list("acme", after=None, limit=9)] == ["no answer"]
    assert api.list("globex", after=None, limit=9) == []
    assert api.replay("globex", taken.delivery.id, at=at) is None
    assert api.replay("acme", taken.delivery.id, at=at) is not None
    [again] = outbox.take(at=at, limit=9)
    outbox.disable(again.delivery, status=410, at=at)
    assert [one.state for one in api.list("acme", after=None, limit=9)] == ["refused"]
    for engine in (owner, *logins.values()):
        engine.dispose()
