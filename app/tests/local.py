"""The job path without HTTP: the real store, queue, dispatcher, watcher and local controller, over trivial steps."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
from sqlalchemy import Engine, Table, func, select
from starlette.applications import Starlette

from app.accounting import Accounting
from app.broker.sql import SqlPublisher, SqlSubscriber
from app.contract.directory import TenantEntry
from app.contract.job import JobEnvelope, JobState, workflow_name
from app.directory import read
from app.dispatcher import Dispatcher, Stores
from app.metrics import Metrics
from app.reporting import Reporting
from app.store.attempts import Attempts
from app.store.checkpoints import Checkpoints
from app.store.engine import open_store, reading
from app.store.jobs import Jobs
from app.store.ledger import Ledger
from app.store.tables import dead_letters
from app.telemetry import tracing
from app.tests.cast import tenant_entry, write_directory
from app.watcher import Watcher
from app.workflows.controller import Controller
from app.workflows.folder import WorkflowsFolder
from app.workflows.local import LocalWorkflows
from app.workflows.step import Site
from app.workflows.workflow import Workflows
from trainer.contract.job import TrainingJob
from trainer.contract.steps import Step

STEPS = (Step("prepare"), Step("train", resumable=True, retries=1))
START = datetime(2026, 1, 1, tzinfo=UTC)


def envelope(
    job: str, tenant: str = "acme", *, minute: int = 0, metadata: Mapping[str, str] | None = None
) -> JobEnvelope:
    training = TrainingJob(job=job, tenant=tenant, base="s3://tenon-models/x", data=f"s3://tenon-{tenant}/datasets/d")
    return JobEnvelope(
        id=job,
        tenant=tenant,
        training=training,
        metadata=dict(metadata or {}),
        request_hash="hash",
        created_at=START + timedelta(minutes=minute),
    )


def publish(engine: Engine, *envelopes: JobEnvelope, traceparent: str | None = None) -> None:
    publisher = SqlPublisher(engine)

    async def send() -> None:
        for one in envelopes:
            await publisher.publish(one, traceparent=traceparent)

    anyio.run(send)


def dead(engine: Engine) -> list[str]:
    """Why each dead letter is one."""
    with reading(engine) as connection:
        return [row.error for row in connection.execute(select(dead_letters.c.error))]


def count(engine: Engine, table: Table) -> int:
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


@dataclass
class JobPath:
    """Everything of one home; made again over the same folder it is what a restart makes."""

    home: Path
    slots: int = 1
    tenants: Sequence[TenantEntry] = (tenant_entry("acme"), tenant_entry("globex"))
    script: str = "pass"  # Python text that every step runs
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.home.mkdir(exist_ok=True)
        self.engine = open_store(f"sqlite:///{self.home}/store.db")
        self.jobs, self.attempts = Jobs(self.engine), Attempts(self.engine)
        self.ledger = Ledger(self.engine)
        self.directory = read(write_directory(self.home / "directory", *self.tenants))
        self.folder = WorkflowsFolder(self.home)
        self.workflows = LocalWorkflows(self.folder, slots=self.slots, pipeline=STEPS)
        self.tracing = tracing("test", self.home / "traces.jsonl")
        self.watcher = self.watching(self.workflows)
        for tenant in self.tenants:
            credentials = self.home / "credentials" / f"{tenant.id}.json"
            credentials.parent.mkdir(exist_ok=True)
            credentials.write_text(json.dumps({"accessKey": f"key-of-{tenant.id}", "secretKey": "secret"}))

    def dispatcher(self, workflows: Workflows | None = None) -> Dispatcher:
        return Dispatcher(
            subscriber=SqlSubscriber(self.engine, lease_seconds=0),  # whoever took a message before is dead
            stores=Stores(self.jobs, self.attempts, Ledger(self.engine)),
            directory=self.directory,
            workflows=workflows or self.workflows,
            tracing=self.tracing,
        )

    def watching(self, workflows: Workflows) -> Watcher:
        accounting = Accounting(ledger=self.ledger, directory=self.directory)
        return Watcher(attempts=self.attempts, workflows=workflows, accounting=accounting)

    def reporting(self, metrics: Metrics | None = None) -> Starlette:
        return Reporting(
            attempts=self.attempts,
            workflows=self.workflows,
            checkpoints=Checkpoints(self.engine),
            accounting=Accounting(ledger=self.ledger, directory=self.directory),
            metrics=metrics or Metrics("watcher"),
        ).app()

    def controller(self) -> Controller:
        return Controller(
            self.folder,
            Site(self.home, "tenon-models", "http://127.0.0.1:1", 1),
            self.tracing,
            slots=self.slots,
            pipeline=STEPS,
            command=lambda _step: [sys.executable, "-Sc", self.script],
            retry_seconds=0.0,
        )

    def run(self, controller: Controller, *, until: Callable[[], bool], seconds: float = 20.0) -> None:
        """Rounds of dispatcher, controller and watcher until the condition holds."""
        dispatcher, deadline = self.dispatcher(), time.monotonic() + seconds
        while not until():
            assert time.monotonic() < deadline, "the condition did not come true in time"
            dispatcher.round()
            controller.round()
            self.watcher.round()
            time.sleep(0.01)

    def state(self, job: str) -> JobState:
        found = self.jobs.find(job)
        assert found is not None
        return found.state

    def attempt_folder(self, job: str, tenant: str = "acme") -> Path:
        return self.home / "tenants" / tenant / workflow_name(job, 1)

    def messages(self, job: str, tenant: str = "acme") -> list[str]:
        return [event.message for event in self.jobs.events(tenant, job, after=None, limit=100)]
