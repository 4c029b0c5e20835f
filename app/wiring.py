"""URL -> adapter, only here: each process as its collaborators, made from the settings."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from starlette.types import ASGIApp

from app import directory as tenants
from app.broker.queue import Publisher, Subscriber
from app.broker.sql import SqlPublisher, SqlSubscriber
from app.dispatcher import Dispatcher
from app.metrics import Metrics
from app.reporting import Reporting
from app.settings import Settings, SettingsError
from app.store.attempts import Attempts
from app.store.engine import open_store
from app.store.figures import Figures
from app.store.files import Files
from app.store.jobs import Jobs
from app.telemetry import tracing
from app.watcher import Watcher
from app.workflows.controller import Controller
from app.workflows.folder import WorkflowsFolder
from app.workflows.local import LocalWorkflows
from app.workflows.step import Site
from app.workflows.workflow import Workflows


@dataclass(frozen=True)
class WatcherParts:
    """The watcher's loop, what it tells of the store, and the application that takes reports."""

    watcher: Watcher
    figures: Figures
    reporting: ASGIApp

    def round(self) -> None:
        """Raises StoreUnavailable, WorkflowsUnavailable."""
        self.watcher.round()
        self.figures.round()


def ingest(settings: Settings, metrics: Metrics) -> ASGIApp:
    """The API. Raises SettingsError, StoreUnavailable, DirectoryError."""
    from app.api import server  # boto3 comes with it, and no other process needs it
    from app.api.finetune import Rows
    from app.buckets import Buckets

    engine = open_store(settings.needed_store_url)
    return server.build(
        directory=tenants.read(settings.directory_url),
        publisher=_publisher(settings, engine),
        tracing=tracing("ingest", settings.trace_file),
        rows=Rows(Jobs(engine), Files(engine)),
        buckets=Buckets(settings.s3_url),
    )


def dispatcher(settings: Settings) -> Dispatcher:
    """Raises SettingsError, StoreUnavailable, DirectoryError."""
    engine = open_store(settings.needed_store_url)
    return Dispatcher(
        subscriber=_subscriber(settings, engine),
        jobs=Jobs(engine),
        attempts=Attempts(engine),
        directory=tenants.read(settings.directory_url),
        workflows=_workflows(settings),
        tracing=tracing("dispatcher", settings.trace_file),
    )


def watcher(settings: Settings, metrics: Metrics) -> WatcherParts:
    """Raises SettingsError, StoreUnavailable."""
    engine, found = open_store(settings.needed_store_url), _workflows(settings)
    attempts = Attempts(engine)
    reporting = Reporting(attempts=attempts, workflows=found, metrics=metrics).app()
    return WatcherParts(Watcher(attempts=attempts, workflows=found), Figures(engine, metrics), reporting)


def workflows(settings: Settings) -> Controller:
    """The local workflow controller. Raises SettingsError, DirectoryError."""
    home = _home(settings)
    site = Site(
        home=home,
        models_bucket=tenants.read(settings.directory_url).platform.models_bucket,
        s3_url=settings.s3_url,
        status_port=settings.status_port,
    )
    traced = tracing("workflows", settings.trace_file)
    return Controller(WorkflowsFolder(home), site, traced, slots=settings.local_slots)


def _publisher(settings: Settings, engine: Engine) -> Publisher:
    _expect_sql(settings)
    return SqlPublisher(engine)


def _subscriber(settings: Settings, engine: Engine) -> Subscriber:
    _expect_sql(settings)
    return SqlSubscriber(engine)


def _expect_sql(settings: Settings) -> None:
    if settings.broker_url != "sql":
        raise SettingsError(f"TENON_BROKER_URL: {settings.broker_url!r} is not served by this version; give `sql`")


def _workflows(settings: Settings) -> Workflows:
    return LocalWorkflows(WorkflowsFolder(_home(settings)), slots=settings.local_slots)


def _home(settings: Settings) -> Path:
    if settings.workflows != "local":
        raise SettingsError(f"TENON_WORKFLOWS: {settings.workflows!r} is not served by this version; give `local`")
    if settings.home is None:
        raise SettingsError("TENON_HOME: not set; name the folder of the local workflows")
    return settings.home
