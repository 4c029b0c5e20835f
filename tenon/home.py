"""The folder that holds all state of `tenon up`: where things are in it, its lock, its ports and its API keys."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenon.output import CommandError, ExitCode
from tenon.processes import free_ports, is_listening

MOST_PORT = 55536  # SeaweedFS gives every port a gRPC twin 10,000 above it
PORTS = ("api", "status", "s3", "master", "volume", "filer", "admin")


@dataclass(frozen=True)
class Home:
    """`--home`. Every path below it is named here."""

    folder: Path

    @property
    def connection(self) -> Path:
        return self.folder / "connection.json"

    @property
    def directory(self) -> Path:
        return self.folder / "directory"

    @property
    def traces(self) -> Path:
        return self.folder / "traces.jsonl"

    @property
    def store(self) -> Path:
        return self.folder / "store.db"

    @property
    def store_url(self) -> str:
        return f"sqlite:///{self.store.resolve()}"

    @property
    def webhook_key(self) -> Path:
        return self.folder / "webhook.key"

    def log(self, process: str) -> Path:
        return self.folder / "logs" / f"{process}.log"

    @property
    def is_in_use(self) -> bool:
        """Whether a `tenon up` holds the folder."""
        path = self.folder / "up.lock"
        if not path.exists():
            return False
        with path.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder's lock. Raises CommandError when another `tenon up` holds it or it cannot be written."""
        with self._writable(), (self.folder / "up.lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read().strip() or "unknown"
                raise CommandError(
                    f"{self.folder}: another `tenon up` (process {holder}) uses it; stop it or give another --home"
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    @contextmanager
    def _writable(self) -> Iterator[None]:
        """Everything `up` itself writes is below the folder, so a refusal of the system is about the folder."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            yield
        except OSError as error:
            subject = error.filename or self.folder
            raise CommandError(f"{subject}: {error.strerror}; give a --home that can be written and has room") from None

    def ports(self, *, api: int | None) -> dict[str, int]:
        """Ports of this folder, drawn once, so that a client's address stays good over restarts.

        Raises CommandError (exit 3) when something listens on one of them.
        """
        path = self.folder / "ports.json"
        drawn = dict(zip(PORTS, free_ports(len(PORTS), below=MOST_PORT), strict=True))
        ports: dict[str, int] = _kept(path) or drawn
        if api is not None:
            ports["api"] = api
        if busy := [f"{name} {port}" for name, port in ports.items() if is_listening(port)]:
            remedy = "give another --port" if api else f"remove {path} for new ports"
            text = f"port {', '.join(busy)}: something listens there; stop it, or {remedy}"
            raise CommandError(text, ExitCode.UNAVAILABLE)
        write_secret(path, ports)
        return ports

    def api_keys(self, tenants: Iterable[str]) -> dict[str, str]:
        """One API key per tenant, `ftk_<id>_<secret>`, drawn once; keys for local use are in no repository."""
        path = self.folder / "keys.json"
        kept: dict[str, str] = _kept(path)
        wanted = {tenant: kept.get(tenant) or _drawn_key() for tenant in tenants}
        write_secret(path, {**kept, **wanted})
        return wanted

    def draw_webhook_key(self) -> None:
        """What the secrets of all webhooks are derived from, drawn once: 64 hexadecimal characters."""
        if not self.webhook_key.exists():
            write_owned(self.webhook_key, f"{secrets.token_hex(32)}\n")


def _kept(path: Path) -> dict[str, Any]:
    """What an earlier `up` wrote. Raises CommandError when it was damaged."""
    try:
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    except ValueError:
        raise CommandError(f"{path}: is damaged; remove it, and a new one is drawn") from None
    return found


def write_secret(path: Path, document: Any) -> None:
    """JSON that the owner alone may read."""
    write_owned(path, json.dumps(document, indent=2))


def write_owned(path: Path, text: str) -> None:
    """A file that the owner alone may read, there whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_text(text)
    partial.replace(path)


def _drawn_key() -> str:
    return f"ftk_{secrets.token_hex(4)}_{secrets.token_hex(32)}"
