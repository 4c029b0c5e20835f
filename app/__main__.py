"""`python -m app ingest|dispatcher|watcher|webhooks|workflows`: one process each, set up by the environment alone.

`migrate` brings the store's tables to this version's and ends; `roles` makes a role per service in PostgreSQL and ends.
Exit codes: 0 stopped by a signal, 2 bad settings or tenant directory, 3 a component is missing or dead.
"""

import argparse
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext

from app import wiring
from app.directory import DirectoryError
from app.kubeconfig import AccessError
from app.logline import log_lines
from app.metrics import Metrics, MetricsServer
from app.process import repeat, stop_signal
from app.serving.server import listening, server
from app.settings import Settings, SettingsError
from app.store.engine import StoreUnavailable, make_roles, migrate_store


def ingest(settings: Settings, metrics: Metrics) -> None:
    stop = stop_signal()  # also for the signal that uvicorn raises again when it has stopped
    made = server(wiring.ingest(settings, metrics), stop=stop)
    made.run(sockets=[listening("TENON_PORT", settings.listen, settings.port)])


def dispatcher(settings: Settings, metrics: Metrics) -> None:
    made, stop = wiring.dispatcher(settings), stop_signal()
    with closing(made.subscriber):  # so that another dispatcher has its messages at once
        repeat(made.round, until=stop, metrics=metrics)


def watcher(settings: Settings, metrics: Metrics) -> None:
    made, stop = wiring.watcher(settings, metrics), stop_signal()
    inner, door = server(made.reporting), listening("TENON_STATUS_PORT", settings.listen, settings.status_port)
    reports = threading.Thread(target=inner.run, kwargs={"sockets": [door]}, name="reports")
    reports.start()
    try:
        repeat(made.round, until=stop, metrics=metrics)
    finally:
        inner.should_exit = True
        reports.join()


def webhooks(settings: Settings, metrics: Metrics) -> None:
    made, stop = wiring.webhooks(settings, metrics), stop_signal()
    try:
        repeat(made.round, until=stop, metrics=metrics)
    finally:
        made.close()


def workflows(settings: Settings, metrics: Metrics) -> None:
    made, stop = wiring.workflows(settings), stop_signal()
    try:
        repeat(made.round, until=stop, metrics=metrics)
    finally:
        made.shut_down()


def migrate(settings: Settings, _metrics: Metrics) -> None:
    """Ends at once. Services of the same series of revisions may run meanwhile."""
    sys.stdout.write(f"the store has revision {migrate_store(settings.needed_store_url)}\n")


def roles(settings: Settings, _metrics: Metrics) -> None:
    """Ends at once."""
    sys.stdout.write("".join(f"GRANT {role} TO <login>;\n" for role in make_roles(settings.needed_store_url)))


PROCESSES: dict[str, Callable[[Settings, Metrics], None]] = {
    "ingest": ingest,
    "dispatcher": dispatcher,
    "watcher": watcher,
    "webhooks": webhooks,
    "workflows": workflows,
    "migrate": migrate,
    "roles": roles,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one process until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    parser.add_argument("process", choices=sorted(PROCESSES))
    name = parser.parse_args(arguments).process
    log_lines(name)
    try:
        settings, metrics = Settings.from_environment(os.environ), Metrics(name)
        with _measured(settings, metrics):
            PROCESSES[name](settings, metrics)
    except (SettingsError, DirectoryError, AccessError) as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 2
    except StoreUnavailable as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 3
    return 0


def _measured(settings: Settings, metrics: Metrics) -> AbstractContextManager[object]:
    """`/metrics`, where a port is named. Raises SettingsError."""
    if settings.metrics_port is None:
        return nullcontext()
    return closing(MetricsServer(metrics, address=settings.listen, port=settings.metrics_port))


if __name__ == "__main__":
    sys.exit(main())
