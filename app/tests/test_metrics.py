"""What is measured: every name of the contract is served, counts are counts, and a scrape asks nobody."""

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, insert
from starlette.testclient import TestClient

from app.broker.queue import BrokerUnavailable
from app.contract import metrics as names
from app.contract.internal import STATUS_PATH
from app.metrics import UNKNOWN_ROUTE, Metrics, MetricsServer
from app.process import LONGEST_PAUSE_SECONDS, pause, repeat
from app.settings import SettingsError
from app.store.engine import StoreUnavailable, writing
from app.store.figures import SECONDS_BETWEEN, Figures
from app.store.jobs import Jobs
from app.store.tables import attempts, ledger
from app.tests.local import JobPath, envelope
from app.workflows.workflow import WorkflowsUnavailable

CONTRACT = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("dispatcher", clock=lambda: 1000.0)


@pytest.fixture
def server(metrics: Metrics) -> Iterator[MetricsServer]:
    with closing(MetricsServer(metrics, address="127.0.0.1", port=0)) as made:
        yield made


def scraped(server: MetricsServer) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample as Prometheus reads it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def sample(server: MetricsServer, name: str, **labels: str) -> float | None:
    return scraped(server).get((name, frozenset(labels.items())))


def test_every_name_that_alerts_and_dashboards_use_is_served(metrics: Metrics, server: MetricsServer) -> None:
    metrics.request("ingest", 202, route="/api/finetune", seconds=0.003)
    metrics.round_done(0.2)
    metrics.watched()
    metrics.delivery("acme", "delivered")
    metrics.dead_letters(2)
    metrics.jobs({("acme", "queued"): 3}, {"acme": 12.5})
    metrics.cost({("acme", "EUR"): 1.5})
    served = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name, _ in scraped(server)}
    assert served == CONTRACT


def test_requests_are_counted_by_route_and_code_and_timed(metrics: Metrics, server: MetricsServer) -> None:
    for code in (202, 202, 503):
        metrics.request("ingest", code, route="/api/finetune", seconds=0.02)
    assert sample(server, names.REQUESTS, service="ingest", route="/api/finetune", code="202") == 2
    assert sample(server, names.REQUESTS, service="ingest", route="/api/finetune", code="503") == 1
    bucket = f"{names.REQUEST_SECONDS}_bucket"
    assert sample(server, bucket, service="ingest", route="/api/finetune", le="0.01") == 0
    assert sample(server, bucket, service="ingest", route="/api/finetune", le="0.025") == 3
    assert sample(server, bucket, service="ingest", route="/api/finetune", le="+Inf") == 3


def test_counts_of_many_threads_are_all_there(metrics: Metrics, server: MetricsServer) -> None:
    def count() -> None:
        for _ in range(500):
            metrics.request("ingest", 200)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sample(server, names.REQUESTS, service="ingest", route=UNKNOWN_ROUTE, code="200") == 2000


def test_the_store_tells_queues_waits_cost_and_what_was_set_aside(
    any_engine: Engine, metrics: Metrics, server: MetricsServer
) -> None:
    Jobs(any_engine).insert_or_ignore(envelope("old"), traceparent=None)
    Jobs(any_engine).insert_or_ignore(envelope("new", minute=5), traceparent=None)
    Jobs(any_engine).insert_or_ignore(envelope("other", "globex"), traceparent=None)
    Jobs(any_engine).cancel("globex", "other")
    _spend(any_engine, "old", Decimal("2.5000"))
    Figures(any_engine, metrics, set_aside=lambda: 2).round()
    assert sample(server, names.JOBS, tenant="acme", state="queued") == 2
    assert sample(server, names.JOBS, tenant="globex", state="cancelled") is None
    waited = datetime.now(UTC) - envelope("old").created_at
    found = sample(server, names.OLDEST_WAITING, tenant="acme")
    assert found is not None
    assert abs(timedelta(seconds=found) - waited) < timedelta(minutes=1)
    assert sample(server, names.COST, tenant="acme", currency="EUR") == 2.5
    assert sample(server, names.DEAD_LETTERS) == 2


def test_the_store_is_asked_now_and_then_and_not_by_a_scrape(engine: Engine, metrics: Metrics) -> None:
    now = [0.0]
    figures = Figures(engine, metrics, set_aside=lambda: 0, clock=lambda: now[0])
    figures.round()
    Jobs(engine).insert_or_ignore(envelope("job"), traceparent=None)
    figures.round()
    assert names.JOBS not in _with_samples(metrics)
    now[0] = SECONDS_BETWEEN
    figures.round()
    assert names.JOBS in _with_samples(metrics)


@pytest.mark.parametrize("outage", [StoreUnavailable, BrokerUnavailable, WorkflowsUnavailable])
def test_an_outage_is_counted_and_ends_no_process(
    outage: type[Exception], metrics: Metrics, server: MetricsServer
) -> None:
    stop, rounds = threading.Event(), iter([True, True, False])

    def one() -> None:
        if next(rounds):
            raise outage("it does not answer")
        stop.set()

    repeat(one, until=stop, pause_seconds=0.001, metrics=metrics)
    assert sample(server, names.ROUNDS, service="dispatcher", outcome="outage") == 2
    assert sample(server, names.ROUNDS, service="dispatcher", outcome="done") == 1
    assert sample(server, names.LAST_ROUND, service="dispatcher") == 1000.0


def test_pauses_grow_in_an_outage_vary_and_have_an_end() -> None:
    assert pause(0, least=0.15) == 0.15
    least = [pause(outages, least=0.15, chance=lambda: 0.0) for outages in range(1, 12)]
    most = [pause(outages, least=0.15, chance=lambda: 1.0) for outages in range(1, 12)]
    assert least == sorted(least)
    assert most[-1] == pause(10_000, least=0.15, chance=lambda: 1.0) == LONGEST_PAUSE_SECONDS
    assert all(2 * few == many for few, many in zip(least, most, strict=True))


def test_a_port_that_is_taken_is_a_fault_of_the_settings(metrics: Metrics, server: MetricsServer) -> None:
    with pytest.raises(SettingsError, match=rf"TENON_METRICS_PORT: 127.0.0.1 port {server.port}"):
        MetricsServer(metrics, address="127.0.0.1", port=server.port)


def test_reports_of_steps_are_counted_under_their_route(job_path: JobPath, metrics: Metrics) -> None:
    assert TestClient(job_path.reporting(metrics)).post("/internal/jobs/j/attempts/1/status").status_code == 401
    with closing(MetricsServer(metrics, address="127.0.0.1", port=0)) as server:
        assert sample(server, names.REQUESTS, service="dispatcher", route=STATUS_PATH, code="401") == 1


def _with_samples(metrics: Metrics) -> set[str]:
    return {family.name for family in metrics.collect() if family.samples}


def _spend(engine: Engine, job: str, amount: Decimal) -> None:
    now = datetime.now(UTC)
    of_job = {"job": job, "tenant": "acme"}
    spent = {"usage": {}, "waited_seconds": 0, "amount": amount, "currency": "EUR", "final": 1, "month": "2026-01"}
    with writing(engine) as connection:
        connection.execute(insert(attempts).values(of_job | {"number": 1, "workflow": "w", "created_at": now}))
        connection.execute(insert(ledger).values(of_job | spent | {"attempt": 1, "changed_at": now}))
