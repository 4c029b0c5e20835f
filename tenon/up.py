"""`tenon up`: the whole job path on this machine. All state is below one folder; started again there, it goes on."""

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

from app.contract.directory import PlatformEntry, TenantEntry
from tenon import components
from tenon.base_models import publish_base_models
from tenon.directory import entries, write_directory
from tenon.home import Home, write_secret
from tenon.objectstore import INGEST, PLATFORM, credentials, make_buckets, rights, store_child
from tenon.output import CommandError, ExitCode, answer_json, say
from tenon.processes import Child, bare_environment, is_listening, stop, wait_until

MIGRATE_SECONDS = 120.0
START_SECONDS = 60.0
CHECK_SECONDS = 0.5
MOST_RESTARTS = 5
MOST_PORTS = 65536


class _Stopped(Exception):  # noqa: N818 - no fault
    """Asked to stop before everything was started."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--home", type=Path, default=Path(".cache/up"), help="folder of all state (default .cache/up)")
    parser.add_argument("--port", type=_port, help="port of the API (default: a free one, kept)")
    components.arguments(parser)


def _port(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < MOST_PORTS):
        raise argparse.ArgumentTypeError(f"{text!r} is no port (1-65535)")
    return int(text)


def run(options: argparse.Namespace) -> int:
    components.refuse_what_is_not_offered(options)
    stopping, started = threading.Event(), threading.Event()

    def stop_soon(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()
        if not started.is_set():
            started.set()
            raise _Stopped

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop_soon)
    try:
        with Home(options.home).alone():
            _serve(options, started=started, stopping=stopping)
    except _Stopped:
        pass
    return int(ExitCode.OK)


def _serve(options: argparse.Namespace, *, started: threading.Event, stopping: threading.Event) -> None:
    home = Home(options.home)
    directory = entries(options.root)
    ports = home.ports(api=options.port)
    children: list[Child] = []
    try:
        start_all(options, directory, ports, children=children)
        started.set()
        announce(options, directory[0], ports, children=children)
        watch(home, children, stopping)
    finally:
        started.set()
        home.connection.unlink(missing_ok=True)
        say("stopping ...")
        stop(children)


def start_all(
    options: argparse.Namespace,
    directory: tuple[dict[str, TenantEntry], PlatformEntry],
    ports: Mapping[str, int],
    *,
    children: list[Child],
) -> None:
    """Object store first, then the tables, then the services; each that listens is waited for."""
    home = Home(options.home)
    components.expect_a_broker(options)
    home.draw_webhook_key()
    tenants, platform = directory
    buckets = {tenant: entry.bucket for tenant, entry in tenants.items()}
    granted = rights(buckets, platform.models_bucket)
    keys = credentials(home, granted)
    if options.s3_url is None:
        store = store_child(home, ports=ports, granted=granted)
        children.append(store)
        store.start()
        say("starting the object store ...")
        wait_until(lambda: is_listening(ports["s3"]), child=store, seconds=START_SECONDS)
    s3_url = _s3_url(options, ports)
    for name, value in keys[PLATFORM].environment().items():
        if options.s3_url is None:
            os.environ[name] = value  # this process is the platform
        else:
            os.environ.setdefault(name, value)  # another store has its own
    os.environ["TENON_S3_URL"] = s3_url
    make_buckets(s3_url, [*buckets.values(), platform.models_bucket])
    publish_base_models(home, platform)
    write_directory(home, tenants, platform)
    say("starting the services ...")
    environment = _environment(options, s3_url, ports)
    migrate(Child("migrate", _service("migrate"), environment, home.log("migrate")))
    for name in components.services(options):
        own = keys[INGEST].environment() if name == "ingest" else {}
        child = Child(name, _service(name), {**environment, **own}, home.log(name))
        children.append(child)
        child.start()
        port = {"ingest": ports["api"], "watcher": ports["status"]}.get(name)
        if port is not None:
            wait_until(_listening(port), child=child, seconds=START_SECONDS)


def migrate(child: Child) -> None:
    """Bring the store's tables to this version. Raises CommandError: exit 2 or 3, as of the child."""
    child.start()
    if code := child.ended(MIGRATE_SECONDS):
        mended_by = ExitCode.BAD_INPUT if code == ExitCode.BAD_INPUT else ExitCode.UNAVAILABLE
        raise CommandError(f"store: {child.last_lines(1)} (all of it: {child.log})", mended_by)


def announce(
    options: argparse.Namespace, tenants: Mapping[str, TenantEntry], ports: Mapping[str, int], *, children: list[Child]
) -> None:
    """Write connection.json: whoever finds it finds everything ready."""
    home = Home(options.home)
    connection = {
        "api": f"http://127.0.0.1:{ports['api']}",
        "portal": None,
        "s3": _s3_url(options, ports),
        "processes": _processes(children),
        "keys": home.api_keys(tenants),
    }
    write_secret(home.connection, connection)
    if options.json:
        answer_json({**connection, "keys": sorted(tenants)})
    say(f"ready: {connection['api']}  (API keys: {home.connection}; Ctrl-C stops everything)")


def watch(home: Home, children: list[Child], stopping: threading.Event) -> None:
    """Start a child that ended again, a bounded number of times each, until asked to stop."""
    restarts: dict[str, int] = {}
    while not stopping.wait(CHECK_SECONDS):
        for child in children:
            if child.is_alive:
                continue
            restarts[child.name] = restarts.get(child.name, 0) + 1
            if restarts[child.name] > MOST_RESTARTS:
                text = f"{child.name}: ended {MOST_RESTARTS + 1} times; the end of {child.log}:\n{child.last_lines()}"
                raise CommandError(text, ExitCode.UNAVAILABLE)
            say(f"{child.name}: ended; starting it again")
            child.start()
            connection = json.loads(home.connection.read_text())
            write_secret(home.connection, {**connection, "processes": _processes(children)})


def _environment(options: argparse.Namespace, s3_url: str, ports: Mapping[str, int]) -> dict[str, str]:
    home = Home(options.home)
    return {
        **bare_environment(),
        **components.environment(options, home),
        "TENON_DIRECTORY_URL": f"file://{home.directory.resolve()}",
        "TENON_S3_URL": s3_url,
        "TENON_HOME": str(home.folder.resolve()),
        "TENON_PORT": str(ports["api"]),
        "TENON_STATUS_PORT": str(ports["status"]),
        "TENON_TRACE_FILE": str(home.traces.resolve()),
        "TENON_WEBHOOK_KEY_FILE": str(home.webhook_key.resolve()),
    }


def _service(name: str) -> list[str]:
    return [sys.executable, "-m", "app", name]


def _s3_url(options: argparse.Namespace, ports: Mapping[str, int]) -> str:
    return options.s3_url or f"http://127.0.0.1:{ports['s3']}"


def _processes(children: list[Child]) -> dict[str, int]:
    return {child.name: child.process.pid for child in children if child.process}


def _listening(port: int) -> Callable[[], bool]:
    return lambda: is_listening(port)
