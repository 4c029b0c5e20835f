"""A storm: real processes that are killed at random while jobs come in, and what must be true when it is over.

Attempts are counted in a file that the steps themselves append to and no service writes.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from sqlalchemy import Engine, func, select

from app.contract.directory import Limits, TenantEntry
from app.contract.job import JobState
from app.store.engine import open_store, reading
from app.store.tables import attempts, events, jobs
from app.tests.cast import tenant_entry, write_directory
from app.workflows.folder import WorkflowsFolder
from app.workflows.local import LocalWorkflows
from trainer.tests.s3 import free_ports

SLOTS = 50
CLIENTS = 8
STALLED_SECONDS = 60.0  # without one more job that ended
SERVICES = ("ingest", "dispatcher", "dispatcher", "watcher", "controller")

# The local controller with one trivial step. Each start is one line of `starts`, appended in one write.
CONTROLLER = f"""
import pathlib, sys
from app.process import repeat, stop_signal
from app.telemetry import tracing
from app.workflows.controller import Controller
from app.workflows.folder import WorkflowsFolder
from app.workflows.step import Site
from trainer.contract.steps import Step
home = pathlib.Path(sys.argv[1])
step = f'echo "${{{{PWD%/work}}}}" >> {{home}}/starts'
made = Controller(
    WorkflowsFolder(home), Site(home, "tenon-models", "http://127.0.0.1:1", 1), tracing("workflows", None),
    slots={SLOTS}, pipeline=(Step("train", resumable=True, retries=1),), command=lambda _: ["/bin/sh", "-c", step],
)
stop = stop_signal()
repeat(made.round, until=stop, pause_seconds=0.02)
made.shut_down()
"""


@dataclass(frozen=True)
class Components:
    """What the services run over, and how each of them that is a process is killed and started again."""

    store_url: str
    broker_url: str = "sql"
    restarts: Mapping[str, Callable[[], None]] = field(default_factory=dict)


def tenants(count: int) -> tuple[TenantEntry, ...]:
    limits = Limits(requests_per_second=1000, queued_jobs=10_000, running_jobs=5)
    names = [f"tenant{number}" for number in range(count)]
    return tuple(tenant_entry(name, limits=limits, key=key_of(name)) for name in names)


def key_of(tenant: str) -> str:
    return f"ftk_{tenant}_{tenant}-secret-of-the-tests-only"


class Storm:
    """The services of one home."""

    def __init__(self, home: Path, components: Components, *, tenants: Sequence[TenantEntry]) -> None:
        self.home, self.components, self.tenants = home, components, tenants
        self.port, self.status_port = free_ports(2)
        self.workflows = LocalWorkflows(WorkflowsFolder(home), slots=SLOTS)
        write_directory(home / "directory", *tenants)
        (home / "credentials").mkdir()
        for tenant in tenants:
            pair = {"accessKey": f"key-of-{tenant.id}", "secretKey": "secret"}
            (home / "credentials" / f"{tenant.id}.json").write_text(json.dumps(pair))
        self.running: list[subprocess.Popen[bytes]] = []
        self.kills: Counter[str] = Counter()
        self.answers: dict[str, str] = {}  # Idempotency-Key -> job id of its 202

    def start(self) -> None:
        """Every service."""
        self.running = [self._started(name) for name in SERVICES]

    def kill(self, place: int) -> None:
        """SIGKILL, and a successor."""
        self.running[place].kill()
        self.running[place].wait()
        self.running[place] = self._started(SERVICES[place])
        self.kills[SERVICES[place]] += 1

    def kill_all(self) -> None:
        for process in self.running:
            process.send_signal(signal.SIGKILL)
        for process in self.running:
            process.wait()
        self.kills.update(SERVICES)

    def end(self) -> None:
        self.kill_all()

    def submit(self, keys: Sequence[str]) -> None:
        """One job per key, again and again as a patient client does, until each is acknowledged."""
        api = f"http://127.0.0.1:{self.port}"
        with httpx.Client(base_url=api, timeout=30) as client, ThreadPoolExecutor(CLIENTS) as pool:
            for key, job in zip(keys, pool.map(lambda key: self._accepted(client, key), keys), strict=True):
                self.answers[key] = job

    def _accepted(self, client: httpx.Client, key: str) -> str:
        tenant = self.tenants[int(key) % len(self.tenants)].id
        wanted = {"modelId": "smollm2-135m", "datasetUrl": f"s3://tenon-{tenant}/datasets/rows.jsonl"}
        caller = {"Authorization": f"Bearer {key_of(tenant)}", "Idempotency-Key": key}
        deadline = time.monotonic() + STALLED_SECONDS
        while True:
            try:
                answer = client.post("/api/finetune", json=wanted, headers=caller)
            except httpx.TransportError:  # killed, or being started again
                answer = None
            if answer is not None and answer.status_code == 202:
                return str(answer.json()["jobId"])
            assert answer is None or answer.status_code in {429, 503}, answer.text
            assert time.monotonic() < deadline, "no answer in time"
            time.sleep(0.05)

    def wait_for(self, engine: Engine, *, ended: int) -> None:
        """Until so many jobs have ended; fails when none more does for long."""
        most, since = -1, time.monotonic()
        while (now := ended_jobs(engine)) < ended:
            if now > most:
                most, since = now, time.monotonic()
            assert time.monotonic() - since < STALLED_SECONDS, f"stuck at {now} of {ended} jobs\n{self.last_words()}"
            assert all(process.poll() is None for process in self.running), f"one ended by itself\n{self.last_words()}"
            time.sleep(0.05)

    def last_words(self) -> str:
        return "\n".join(f"{log.name}: {log.read_text()[-600:]}" for log in sorted(self.home.glob("*.log")))

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "TENON_STORE_URL": self.components.store_url,
            "TENON_BROKER_URL": self.components.broker_url,
            "TENON_DIRECTORY_URL": (self.home / "directory").as_uri(),
            "TENON_HOME": str(self.home),
            "TENON_S3_URL": "http://127.0.0.1:1",
            "TENON_PORT": str(self.port),
            "TENON_STATUS_PORT": str(self.status_port),
            "TENON_LOCAL_SLOTS": str(SLOTS),
        }

    def _started(self, name: str) -> "subprocess.Popen[bytes]":
        words = ["-c", CONTROLLER, str(self.home)] if name == "controller" else ["-m", "app", name]
        with (self.home / f"{name}.log").open("ab") as log:
            return subprocess.Popen([sys.executable, *words], env=self.environment(), stdout=log, stderr=log)


def rage(storm: Storm, *, jobs: int, kills: int, seed: int) -> None:
    """Send the jobs, and kill one process after each share of them that has ended."""
    draw, engine = random.Random(seed), open_store(storm.components.store_url)  # noqa: S311 - which to kill
    keys = [str(number) for number in range(jobs)]
    client = threading.Thread(target=storm.submit, args=(keys,))
    client.start()
    try:
        for blow in range(kills):
            storm.wait_for(engine, ended=blow * jobs // (kills + 1))
            if storm.components.restarts and blow % 4 == 3:
                name = sorted(storm.components.restarts)[blow // 4 % len(storm.components.restarts)]
                storm.components.restarts[name]()
                storm.kills[name] += 1
            else:
                storm.kill(draw.randrange(len(SERVICES)))
        storm.wait_for(engine, ended=jobs)
    finally:
        client.join()
        engine.dispose()


def ended_jobs(engine: Engine) -> int:
    final = jobs.c.state.in_([state for state in JobState if state.is_final])
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(jobs).where(final)).scalar_one()


def check(storm: Storm) -> None:
    """None lost, none doubled, each event once and in order; the steps' own ledger agrees."""
    engine, accepted = open_store(storm.components.store_url), set(storm.answers.values())
    assert len(accepted) == len(storm.answers), "two keys led to one job"
    with reading(engine) as connection:
        states = {row.id: row.state for row in connection.execute(select(jobs.c.id, jobs.c.state))}
        made = [(row.job, row.number) for row in connection.execute(select(attempts.c.job, attempts.c.number))]
        history: dict[str, list[str]] = {}
        for row in connection.execute(select(events.c.job, events.c.message).order_by(events.c.id)):
            history.setdefault(row.job, []).append(row.message)
    engine.dispose()
    assert set(states) == accepted
    assert set(states.values()) == {JobState.SUCCEEDED}
    assert sorted(made) == sorted((job, 1) for job in accepted)
    workflows = [status.name for status in storm.workflows.list()]
    assert sorted(workflows) == sorted(f"ft-{job}-a1" for job in accepted)
    for told in history.values():
        steps = [text for text in told if not text.startswith(("step ", "attempt 1 admitted"))]
        assert steps == ["queued", "attempt 1 begun", "attempt 1 succeeded"], told
        assert len(set(told)) == len(told), told
    starts = Counter(Path(line).name for line in (storm.home / "starts").read_text().splitlines())
    assert set(starts) == set(workflows)
    again = sum(starts.values()) - len(workflows)  # steps that a killed controller took along, begun anew
    assert again <= storm.kills["controller"] * SLOTS
