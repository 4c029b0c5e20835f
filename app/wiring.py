"""URL -> adapter, only here: each process as its collaborators, made from the settings."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine
from starlette.types import ASGIApp

from app import directory as tenants
from app.accounting import Accounting
from app.audit import LoggedTrail, StoredTrail
from app.broker import by_url
from app.broker.dead_letters import DeadLetters
from app.directory import Directory
from app.dispatcher import Dispatcher, Stores
from app.identity.caller import Tokens
from app.intake import BrokerIntake, Intake, StoreIntake
from app.metrics import Metrics
from app.reporting import Reporting
from app.settings import Settings, SettingsError
from app.store.attempts import Attempts
from app.store.checkpoints import Checkpoints
from app.store.engine import open_store
from app.store.figures import Figures
from app.store.files import Files
from app.store.jobs import Jobs
from app.store.ledger import Ledger
from app.store.probe import ask
from app.telemetry import tracing
from app.watcher import Watcher
from app.workflows.controller import Controller
from app.workflows.folder import WorkflowsFolder
from app.workflows.local import LocalWorkflows
from app.workflows.step import Site
from app.workflows.workflow import Workflows

if TYPE_CHECKING:
    from app.api.readiness import Probe
    from app.api.server import Border
    from app.api.webhooks import WebhookRows
    from app.webhooks import Webhooks
    from app.workflows.pods import PodCauses

CREATED_AT_ONCE = 8  # workflows on their way to an API server


@dataclass(frozen=True)
class WatcherParts:
    """The watcher's loop, what it tells of store and watch, and the application that takes reports."""

    watcher: Watcher
    figures: Figures
    reporting: ASGIApp
    metrics: Metrics
    pods: "PodCauses | None" = None  # of a cluster

    def round(self) -> None:
        """Raises StoreUnavailable, WorkflowsUnavailable."""
        if self.pods is not None:
            self.pods.refresh()
            if (seconds := self.pods.seconds_stale()) is not None:
                self.metrics.watched(seconds_ago=seconds)
        self.watcher.round()
        self.figures.round()


def ingest(settings: Settings, metrics: Metrics) -> ASGIApp:
    """The API; without a store it publishes jobs and serves no more than that.

    Raises SettingsError, StoreUnavailable, DirectoryError, AccessError.
    """
    from app.api import server  # boto3 comes with it, and no other process needs it
    from app.api.finetune import Rows
    from app.buckets import Buckets

    directory = _directory(settings)
    if settings.store_url is None:
        return server.build(
            directory=directory,
            intake=BrokerIntake(by_url.publisher(settings.broker_url, None), None),
            tracing=tracing("ingest", settings.trace_file),
            rows=None,
            buckets=None,
            border=replace(_border(settings, directory, None), metrics=metrics),
        )
    engine = open_store(settings.store_url)
    return server.build(
        directory=directory,
        intake=intake(settings, engine),
        tracing=tracing("ingest", settings.trace_file),
        rows=Rows(Jobs(engine), Files(engine), _webhook_rows(settings, engine)),
        buckets=Buckets(settings.s3_url),
        border=replace(_border(settings, directory, engine), metrics=metrics),
    )


def intake(settings: Settings, engine: Engine) -> Intake:
    """Raises SettingsError."""
    if settings.broker_url == "sql":
        return StoreIntake(engine)
    return BrokerIntake(by_url.publisher(settings.broker_url, engine), Jobs(engine))


def _border(settings: Settings, directory: Directory, engine: Engine | None) -> "Border":
    """How the API meets its callers. Raises AccessError."""
    from app.api.server import Border
    from app.identity.keysets import KeySets
    from app.identity.oidc import OidcTokens

    tokens: list[Tokens] = [OidcTokens(directory, KeySets())]
    if settings.workflows == "kubernetes" or settings.kubeconfig is not None:
        from app.apiserver import from_kubeconfig_or_pod
        from app.identity.serviceaccount import ServiceAccountTokens

        tokens.append(ServiceAccountTokens(directory, from_kubeconfig_or_pod(settings.kubeconfig, os.environ)))
    return Border(
        tokens=tuple(tokens),
        trail=LoggedTrail() if engine is None else StoredTrail(engine),
        origins=settings.cors_origins,
        probes=tuple(_probes(settings, engine)),
    )


def _probes(settings: Settings, engine: Engine | None) -> "Iterator[Probe]":
    from app.api.readiness import Probe

    if engine is not None:
        yield Probe("store", partial(ask, engine))
    if settings.broker_url.startswith("kafka://"):
        from app.broker.kafka.address import parse
        from app.broker.probe import connect

        yield Probe("broker", partial(connect, str(parse(settings.broker_url).client["bootstrap.servers"])))


def dispatcher(settings: Settings) -> Dispatcher:
    """Raises SettingsError, StoreUnavailable, DirectoryError, AccessError."""
    engine, directory = open_store(settings.needed_store_url), _directory(settings)
    attempts = Attempts(engine)
    return Dispatcher(
        subscriber=by_url.subscriber(settings.broker_url, engine),
        stores=Stores(Jobs(engine), attempts, Ledger(engine)),
        directory=directory,
        workflows=_workflows(settings, directory, attempts),
        tracing=tracing("dispatcher", settings.trace_file),
        at_once=1 if settings.workflows == "local" else CREATED_AT_ONCE,
    )


def watcher(settings: Settings, metrics: Metrics) -> WatcherParts:
    """Raises SettingsError, StoreUnavailable."""
    engine, directory = open_store(settings.needed_store_url), _directory(settings)
    attempts, accounting = Attempts(engine), Accounting(ledger=Ledger(engine), directory=directory)
    found = _workflows(settings, directory, attempts, watched=True)
    reporting = Reporting(
        attempts=attempts,
        workflows=found,
        checkpoints=Checkpoints(engine),
        accounting=accounting,
        metrics=metrics,
    )
    pods = _pods(settings, directory)
    looking = Watcher(attempts=attempts, workflows=found, accounting=accounting, causes=pods)
    figures = Figures(engine, metrics, set_aside=DeadLetters(engine).depth)
    return WatcherParts(looking, figures, reporting.app(), metrics, pods)


def webhooks(settings: Settings, metrics: Metrics) -> "Webhooks":
    """The sender. Raises SettingsError, StoreUnavailable, DirectoryError."""
    import httpx

    from app.delivery.dialling import VettedNetwork, dial, system_resolver
    from app.delivery.posting import Post
    from app.delivery.signing import read_keys
    from app.store.outbox import Outbox
    from app.store.webhook_keys import WebhookKeys
    from app.webhooks import MOST_AT_ONCE, Webhooks

    if settings.webhook_key_file is None:
        raise SettingsError("TENON_WEBHOOK_KEY_FILE: not set; name a file with at least 32 random bytes")
    signing, directory = read_keys(settings.webhook_key_file), _directory(settings)
    engine = open_store(settings.needed_store_url)
    network = VettedNetwork(
        resolve=system_resolver(MOST_AT_ONCE),
        dial=dial,
        opened=lambda: [ip_network(text) for text in directory.platform.private_addresses],
    )
    return Webhooks(
        outbox=Outbox(engine),
        generations=WebhookKeys(engine),
        signing=signing,
        directory=directory,
        post=Post(network, trust=httpx.create_ssl_context()),
        tracing=tracing("webhooks", settings.trace_file),
        metrics=metrics,
    )


def _webhook_rows(settings: Settings, engine: Engine) -> "WebhookRows":
    from app.api.webhooks import WebhookRows
    from app.delivery.signing import read_keys
    from app.store.deliveries import Deliveries
    from app.store.webhook_keys import WebhookKeys

    signing = read_keys(settings.webhook_key_file) if settings.webhook_key_file else None
    return WebhookRows(Deliveries(engine), WebhookKeys(engine), signing)


def workflows(settings: Settings) -> Controller:
    """The local workflow controller. Raises SettingsError, DirectoryError."""
    home = _home(settings)
    site = Site(
        home=home,
        models_bucket=_directory(settings).platform.models_bucket,
        s3_url=settings.s3_url,
        status_port=settings.status_port,
    )
    traced = tracing("workflows", settings.trace_file)
    return Controller(WorkflowsFolder(home), site, traced, slots=settings.local_slots)


def _workflows(settings: Settings, directory: Directory, attempts: Attempts, *, watched: bool = False) -> Workflows:
    """watched: for who looks at workflows again and again. Raises SettingsError, AccessError."""
    if settings.workflows != "kubernetes":
        return LocalWorkflows(WorkflowsFolder(_home(settings)), slots=settings.local_slots)
    from app.apiserver import from_kubeconfig_or_pod
    from app.workflows.kubernetes import KubernetesWorkflows, Watched

    api = from_kubeconfig_or_pod(settings.kubeconfig, os.environ)
    found = Watched(api, directory) if watched else None
    return KubernetesWorkflows(api, tenants=directory, tenant_of=attempts.tenant_of, watched=found)


def _pods(settings: Settings, directory: Directory) -> "PodCauses | None":
    """Raises AccessError."""
    if settings.workflows != "kubernetes":
        return None
    from app.apiserver import from_kubeconfig_or_pod
    from app.workflows.pods import PodCauses

    return PodCauses(from_kubeconfig_or_pod(settings.kubeconfig, os.environ), directory)


def _directory(settings: Settings) -> Directory:
    """Raises DirectoryError, AccessError."""
    return tenants.read(settings.directory_url, kubeconfig=settings.kubeconfig)


def _home(settings: Settings) -> Path:
    if settings.workflows != "local":
        raise SettingsError(f"TENON_WORKFLOWS: {settings.workflows!r} is unknown; give `local` or `kubernetes`")
    if settings.home is None:
        raise SettingsError("TENON_HOME: not set; name the folder of the local workflows")
    return settings.home
