"""Acknowledged jobs per second of one core: `python -m app ingest` beside FastAPI, Litestar and Robyn.

Every server is one process on one core, the load on another one (and the mock broker with it). All do the same duties
over the same code (bench/rivals.py): who calls, rate, idempotency, admission, a durable message, the job's row, audit,
trace; `fastapi-own` without our group commit (queue in the store alone). They take turns, in an order that is turned
round each time; medians count. What was acknowledged is counted in the store afterwards. `per CPU second` holds on a
machine that others use too.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from sqlalchemy import Table, func, select

from app.store.engine import open_store, reading
from app.store.tables import audit, jobs, messages
from app.tests.cast import write_directory
from app.tests.storm import key_of, tenants
from bench import load
from bench.render import tell
from trainer.tests.s3 import free_ports

NAMES = ("ours", "fastapi", "fastapi-own", "litestar", "robyn")
TENANTS = 50
CONNECTIONS = 64
READY_SECONDS = 60.0


@dataclass(frozen=True)
class Measured:
    """One turn of one server."""

    name: str
    per_second: float
    per_cpu_second: float
    p50_ms: float
    p99_ms: float
    refused: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=4000, help="of one turn, closed loop")
    parser.add_argument("--rate", type=float, default=2000.0, help="requests a second, open loop")
    parser.add_argument("--seconds", type=float, default=0.0, help="of one turn, open loop (default: none)")
    parser.add_argument("--broker", choices=["sql", "mock"], default="sql", help="mock: librdkafka's own cluster")
    parser.add_argument("--only", nargs="*", choices=NAMES, default=NAMES)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.broker != "sql":
        options.only = [name for name in options.only if name != "fastapi-own"]
    _pin(os.getpid(), core=1)
    tell(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; broker {options.broker}; {options.rounds} rounds")
    found: list[Measured] = []
    with _broker(options.broker) as broker_url:
        for turn in range(options.rounds):
            for name in options.only if turn % 2 == 0 else reversed(options.only):
                with tempfile.TemporaryDirectory() as scratch, Server(name, Path(scratch), broker_url) as server:
                    found.append(server.measured(options.requests))
                    tell(_line(found[-1]))
                    if options.seconds:
                        tell(f"  at {options.rate:.0f}/s: {server.at_rate(options.rate, options.seconds)}")
    summary = [_median(name, [one for one in found if one.name == name]) for name in options.only]
    tell("medians:")
    for one in summary:
        ratio = summary[0].per_cpu_second / one.per_cpu_second
        tell(f"{_line(one)}  {summary[0].name} / it: {ratio:.2f}")
    if options.json:
        tell(json.dumps([asdict(one) for one in summary]))
    return 0


class Server:
    """One contender over a new store, warmed up."""

    def __init__(self, name: str, folder: Path, broker_url: str) -> None:
        self.name, self.folder, self.broker_url = name, folder, broker_url
        self.port, self.sent, self.acknowledged = free_ports(1)[0], 0, 0
        self.store_url = f"sqlite:///{folder}/store.db"

    def __enter__(self) -> Self:
        write_directory(self.folder / "directory", *tenants(TENANTS))
        open_store(self.store_url).dispose()
        words = ["-m", "app", "ingest"] if self.name == "ours" else ["-m", "bench.rivals", self.name]
        environment = {
            "PATH": os.environ["PATH"],
            "TENON_STORE_URL": self.store_url,
            "TENON_BROKER_URL": self.broker_url,
            "TENON_DIRECTORY_URL": (self.folder / "directory").as_uri(),
            "TENON_S3_URL": "http://127.0.0.1:1",
            "TENON_PORT": str(self.port),
            "TENON_TRACE_FILE": str(self.folder / "traces.jsonl"),
        }
        self.log = (self.folder / "log").open("wb")
        self.process = subprocess.Popen(  # noqa: S603 - ours
            ["taskset", "-c", "0", sys.executable, *words],  # noqa: S607 - of util-linux
            env=environment,
            stdout=self.log,
            stderr=self.log,
            cwd=Path(__file__).parent.parent,
        )
        self._wait()
        self._closed(200)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self._count()

    def measured(self, requests: int) -> Measured:
        cpu = self._cpu_seconds()
        told = self._closed(requests)
        cpu = self._cpu_seconds() - cpu
        kept = len(told.latencies)
        return Measured(
            self.name,
            kept / told.seconds,
            kept / cpu,
            told.percentile(0.5) * 1000,
            told.percentile(0.99) * 1000,
            sum(told.refused.values()),
        )

    def at_rate(self, rate: float, seconds: float) -> str:
        told = asyncio.run(load.open_(self.port, self._requests(), rate=rate, seconds=seconds))
        self.acknowledged += len(told.latencies)
        shown = f"p50 {told.percentile(0.5) * 1000:.1f} ms, p99 {told.percentile(0.99) * 1000:.1f} ms"
        return f"{self.name} {shown}, {len(told.latencies) / told.seconds:.0f}/s, refused {told.refused}"

    def _closed(self, requests: int) -> load.Told:
        told = asyncio.run(load.closed(self.port, self._requests(), requests=requests, connections=CONNECTIONS))
        self.acknowledged += len(told.latencies)
        return told

    def _requests(self) -> Callable[[int], bytes]:
        """Each of another tenant than the one before, under a key of its own, as a client's trace goes on."""
        first = self.sent
        self.sent += 1_000_000

        def made(number: int) -> bytes:
            tenant = f"tenant{number % TENANTS}"
            wanted = {
                "modelId": "smollm2-135m",
                "datasetUrl": f"s3://tenon-{tenant}/datasets/rows.jsonl",
                "hyperparameters": {"epochs": 2},
                "metadata": {"run": str(number)},
            }
            body = json.dumps(wanted).encode()
            head = (
                f"POST /api/finetune HTTP/1.1\r\nHost: ingest\r\nAuthorization: Bearer {key_of(tenant)}\r\n"
                f"Idempotency-Key: {first + number}\r\nContent-Type: application/json\r\n"
                f"traceparent: 00-{first + number + 1:032x}-00f067aa0ba902b7-01\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            return head.encode() + body

        return made

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=1).read()
            except urllib.error.HTTPError:
                return  # it has no such route, and answers
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{self.name}: does not start\n{(self.folder / 'log').read_text()}") from None
                time.sleep(0.1)
            else:
                return

    def _cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _count(self) -> None:
        """Every acknowledged job has its row, its audit record and, where the queue is in the store, its message."""
        engine = open_store(self.store_url)

        def rows(table: Table) -> int:
            with reading(engine) as connection:
                return connection.execute(select(func.count()).select_from(table)).scalar_one()

        kept = {
            table.name: rows(table)
            for table in ((jobs, audit, messages) if self.broker_url == "sql" else (jobs, audit))
        }
        engine.dispose()
        if any(count < self.acknowledged for count in kept.values()):
            raise SystemExit(f"{self.name}: acknowledged {self.acknowledged}, and kept {kept}")


def _pin(process: int, *, core: int) -> None:
    os.sched_setaffinity(process, {core})


@contextmanager
def _broker(name: str) -> Iterator[str]:
    if name == "sql":
        yield "sql"
        return
    from app.contract.internal import DEAD_LETTER_TOPIC, JOBS_TOPIC, RETRY_TOPICS
    from app.tests.mock_kafka import MockCluster

    cluster = MockCluster([JOBS_TOPIC, *RETRY_TOPICS, DEAD_LETTER_TOPIC])
    try:
        yield f"kafka://{cluster.servers}"
    finally:
        cluster.close()


def _median(name: str, turns: Sequence[Measured]) -> Measured:
    def middle(of: Callable[[Measured], float]) -> float:
        return statistics.median(map(of, turns))

    return Measured(
        name,
        middle(lambda one: one.per_second),
        middle(lambda one: one.per_cpu_second),
        middle(lambda one: one.p50_ms),
        middle(lambda one: one.p99_ms),
        sum(one.refused for one in turns),
    )


def _line(one: Measured) -> str:
    speed = f"{one.per_second:7.0f}/s {one.per_cpu_second:7.0f} per CPU second"
    return f"{one.name:12} {speed}  p50 {one.p50_ms:6.1f} ms  p99 {one.p99_ms:6.1f} ms  refused {one.refused}"


if __name__ == "__main__":
    sys.exit(main())
