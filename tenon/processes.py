"""Child processes of `tenon up`: each with a log of its own, none outliving its parent, all stopped together."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from app.workflows.step import end_with
from tenon.output import CommandError, ExitCode

POLL_SECONDS = 0.1


@dataclass
class Child:
    """One program and how to start it again."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    stop_seconds: float = 20.0
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def start(self) -> None:
        """Start in a session of its own, so that Ctrl-C reaches the parent alone and children stop in order."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=partial(end_with, os.getpid()) if sys.platform == "linux" else None,  # noqa: PLW1509 - one call
            )

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ended(self, seconds: float) -> int:
        """Its exit code. It is killed when it has not ended by itself within that time."""
        assert self.process is not None  # noqa: S101 - it was started
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def last_lines(self, count: int = 5) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-count:])


def stop(children: Sequence[Child]) -> None:
    """SIGTERM one after the other, last started first: a step that saves a checkpoint still finds the object store.

    SIGKILL for what has not ended after its `stop_seconds`.
    """
    for child in reversed(children):
        if child.process is None or not child.is_alive:
            continue
        child.process.terminate()
        try:
            child.process.wait(timeout=child.stop_seconds)
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()


def wait_until(ready: Callable[[], bool], *, child: Child, seconds: float) -> None:
    """Poll a condition while the child lives.

    Raises CommandError (exit 3) with the end of its log when it dies or the time is over.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if not child.is_alive or time.monotonic() > deadline:
            what = "ended" if not child.is_alive else f"did not answer within {seconds:.0f} s"
            text = f"{child.name}: {what}; the end of {child.log}:\n{child.last_lines()}"
            raise CommandError(text, ExitCode.UNAVAILABLE)
        time.sleep(POLL_SECONDS)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int, *, below: int = 65536) -> list[int]:
    """Ports that nothing listens on now, each below a bound."""
    sockets: list[socket.socket] = []
    ports: list[int] = []
    try:
        while len(ports) < count:
            probe = socket.socket()
            sockets.append(probe)
            probe.bind(("127.0.0.1", 0))
            if (port := probe.getsockname()[1]) < below:
                ports.append(port)
    finally:
        for probe in sockets:
            probe.close()
    return ports


def bare_environment() -> dict[str, str]:
    """What a child inherits: enough to find programs and a home, and nothing that could configure it by accident."""
    names = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "OMP_NUM_THREADS")
    return {name: os.environ[name] for name in names if name in os.environ}
