"""How fast queued jobs become Workflows in a real kube-apiserver: `python -m bench.dispatch`.

One dispatcher as `python -m app dispatcher` makes it, with its own account's token, the rendered rights and the
admission policies in force; etcd and the server beside it on the same cores. Counted from messages in the durable queue
(SQLite) until every attempt is confirmed: rows, fair scheduling, the Workflow, the note that it exists. Afterwards the
server is asked what is there.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import anyio

from app.apiserver import ApiServer
from app.broker.sql import SqlPublisher, SqlSubscriber
from app.contract.directory import Limits, TenantEntry
from app.directory import read
from app.dispatcher import Dispatcher, Stores
from app.store.attempts import Attempts
from app.store.engine import open_store
from app.store.jobs import Jobs
from app.store.ledger import Ledger
from app.telemetry import tracing
from app.tests.cast import tenant_entry, write_directory
from app.tests.cluster import RealCluster, real_cluster
from app.tests.local import envelope
from app.wiring import CREATED_AT_ONCE
from app.workflows.kubernetes import KubernetesWorkflows
from app.workflows.manifest import workflows_path
from bench.render import tell

EACH = 100  # jobs of one tenant, the most that may run at once
TARGET = 100.0  # jobs per second


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000, help=f"a multiple of {EACH}; default 1000")
    parser.add_argument("--rounds", type=int, default=3, help="the median counts; the first one warms up, beside them")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    names = [f"bench{number}" for number in range(options.jobs // EACH)]
    limits = Limits(running_jobs=EACH, queued_jobs=EACH)
    tenants = [tenant_entry(name, limits=limits, key=f"ftk_{name}_of-the-bench") for name in names]
    with real_cluster() as cluster:
        cluster.add_tenants(names)
        rounds = [measured(cluster, tenants, number) for number in range(options.rounds + 1)]
    rates = [round(options.jobs / seconds, 1) for seconds, _ in rounds[1:]]
    median = statistics.median(rates)
    cpu = round(statistics.median(1000 * cpu / options.jobs for _, cpu in rounds[1:]), 2)
    setting = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "jobs": options.jobs, "tenants": len(names)}
    document = {"jobsPerSecond": median, "rounds": rates, "target": TARGET, "cpuMilliseconds": cpu, "setting": setting}
    if options.json:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        what = f"{median:.0f} jobs/s into a real API server (rounds: {rates}; to reach: {TARGET:.0f})"
        sys.stdout.write(f"{what}, {cpu} ms of the dispatcher's CPU each\n")
    return 0 if median >= TARGET else 1


def measured(cluster: RealCluster, tenants: list[TenantEntry], number: int) -> tuple[float, float]:
    """Seconds for one round over a store of its own, and the dispatcher's seconds of CPU."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        engine, directory = open_store(f"sqlite:///{folder}/store.db"), read(write_directory(folder / "d", *tenants))
        publisher = SqlPublisher(engine)
        for tenant in tenants:
            for job in range(EACH):
                anyio.run(
                    partial(publisher.publish, envelope(f"{tenant.id}-{number}-{job}", tenant.id), traceparent=None)
                )
        api, attempts = ApiServer(cluster.access("dispatcher")), Attempts(engine)
        dispatcher = Dispatcher(
            subscriber=SqlSubscriber(engine),
            stores=Stores(Jobs(engine), attempts, Ledger(engine)),
            directory=directory,
            workflows=KubernetesWorkflows(api, tenants=directory, tenant_of=attempts.tenant_of),
            tracing=tracing("bench", None),
            at_once=CREATED_AT_ONCE,
        )
        wanted, begun, cpu_before = EACH * len(tenants), time.perf_counter(), time.process_time()
        while len(attempts.unfinished()) < wanted:
            dispatcher.round()
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu_before
        found = sum(cluster.count(workflows_path(tenant.training_namespace)) for tenant in tenants)
        if found != wanted:
            raise SystemExit(f"{found} Workflows are there; {wanted} were asked for")
        tell(f"round {number}: {wanted / seconds:.0f} jobs/s")
        for tenant in tenants:
            cluster.api.http.delete(workflows_path(tenant.training_namespace)).raise_for_status()
        api.close()
        engine.dispose()
        return seconds, cpu


if __name__ == "__main__":
    sys.exit(main())
