"""The real ingest API under test: in this process for single requests, on a loopback port for real clients."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
from starlette.types import ASGIApp

from app.api.finetune import Rows
from app.api.server import Border, build
from app.api.webhooks import WebhookRows
from app.audit import StoredTrail
from app.broker.queue import Publisher
from app.broker.sql import SqlSubscriber
from app.buckets import Buckets
from app.contract.directory import TenantEntry
from app.delivery.signing import SigningKeys
from app.directory import read
from app.intake import BrokerIntake, StoreIntake
from app.serving.protocol import Bounds
from app.serving.server import server
from app.store.deliveries import Deliveries
from app.store.engine import open_store
from app.store.files import Files
from app.store.jobs import Jobs
from app.store.webhook_keys import WebhookKeys
from app.telemetry import tracing
from app.tests.cast import KEYS, write_directory


@dataclass(frozen=True)
class Api:
    """The application with its real store and queue."""

    application: ASGIApp
    rows: Rows
    subscriber: SqlSubscriber
    traces: Path

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        tenant: str | None = "acme",
        **body: Any,
    ) -> httpx.Response:
        """One request in this process, with the tenant's key."""
        sent = {**({"Authorization": f"Bearer {KEYS[tenant]}"} if tenant else {}), **(headers or {})}
        return anyio.run(partial(_send, self.application, method, path, headers=sent, **body))

    def submit(self, body: Mapping[str, Any] | None = None, **options: Any) -> httpx.Response:
        return self.send("POST", "/api/finetune", json=dict(REQUEST if body is None else body), **options)


REQUEST = {"modelId": "smollm2-135m", "datasetUrl": "s3://tenon-acme/datasets/rows.jsonl"}


MASTER_KEY = b"master key of the tests"


def serve(
    folder: Path,
    *tenants: TenantEntry,
    buckets: Buckets | None = None,
    publisher: Publisher | None = None,
    border: Border | None = None,
) -> Api:
    """The API over a new store in the folder."""
    engine = open_store(f"sqlite:///{folder}/store.db")
    webhooks = WebhookRows(Deliveries(engine), WebhookKeys(engine), SigningKeys(MASTER_KEY))
    rows = Rows(Jobs(engine), Files(engine), webhooks)
    traces = folder / "traces.jsonl"
    application = build(
        directory=read(write_directory(folder / "directory", *tenants)),
        intake=StoreIntake(engine) if publisher is None else BrokerIntake(publisher, rows.jobs),
        tracing=tracing("ingest", traces),
        rows=rows,
        buckets=buckets,
        border=replace(border or Border(), trail=StoredTrail(engine)),
    )
    return Api(application, rows, SqlSubscriber(engine), traces)


async def _send(application: ASGIApp, method: str, path: str, **options: Any) -> httpx.Response:
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
        return await client.request(method, path, **options)


@contextmanager
def listening(application: ASGIApp, *, bounds: Bounds | None = None) -> Iterator[str]:
    """The application on a free loopback port; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = server(application, bounds=bounds)
        thread = threading.Thread(target=made.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            made.should_exit = True
            thread.join()
