"""Crash storms over real processes, on the embedded components and on the real ones (tiers services and long)."""

import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from app.store.engine import open_store
from app.tests.storm import Components, Storm, check, rage, tenants

TENANTS = 50
Begin = Callable[[Components], Storm]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts the services over the components; all of them end with the test."""
    begun: list[Storm] = []

    def begins(components: Components) -> Storm:
        home = tmp_path / "home"
        home.mkdir()
        begun.append(Storm(home, components, tenants=tenants(TENANTS)))
        begun[0].start()
        return begun[0]

    yield begins
    for storm in begun:
        storm.end()


def embedded(request: pytest.FixtureRequest) -> Components:
    return Components(f"sqlite:///{request.getfixturevalue('tmp_path')}/home/store.db")


def postgresql(request: pytest.FixtureRequest) -> Components:
    """The queue in a real PostgreSQL, which crashes too."""
    url, server = request.getfixturevalue("postgres"), request.getfixturevalue("postgres_server")
    return Components(url, restarts={"postgresql": partial(server.restart, signal.SIGQUIT)})


def kafka(request: pytest.FixtureRequest) -> Components:
    """A real Apache Kafka beside PostgreSQL; both crash."""
    from app.broker.kafka.administration import ensure_topics

    broker, below = request.getfixturevalue("kafka"), postgresql(request)

    def restart() -> None:
        broker.kill()
        broker.start()

    ensure_topics(broker.url())
    return Components(below.store_url, broker.url(), {**below.restarts, "kafka": restart})


BACKENDS = {"embedded": embedded, "postgresql": postgresql, "kafka": kafka}


@pytest.fixture(params=BACKENDS)
def components(request: pytest.FixtureRequest) -> Components:
    return BACKENDS[request.param](request)


@pytest.mark.requirement("A12", "A13", "A33")
@pytest.mark.parametrize(
    ("backend", "jobs", "kills"),
    [
        pytest.param("embedded", 1000, 12, marks=pytest.mark.services),
        pytest.param("kafka", 1000, 12, marks=pytest.mark.services),
        *(pytest.param(name, 20_000, 40, marks=pytest.mark.long) for name in BACKENDS),
    ],
)
def test_a_storm_loses_no_job_and_doubles_none(
    begin: Begin, request: pytest.FixtureRequest, backend: str, jobs: int, kills: int
) -> None:
    storm = begin(BACKENDS[backend](request))
    rage(storm, jobs=jobs, kills=kills, seed=jobs)
    assert len(storm.answers) == jobs
    assert storm.kills.total() == kills
    check(storm)


@pytest.mark.requirement("A13")
@pytest.mark.services
def test_an_acknowledged_request_survives_a_kill_of_everything_at_that_instant(
    begin: Begin, components: Components
) -> None:
    storm = begin(components)
    storm.submit([str(number) for number in range(20)])
    storm.kill_all()
    for restart in components.restarts.values():
        restart()
    storm.start()
    engine = open_store(components.store_url)
    storm.wait_for(engine, ended=20)
    engine.dispose()
    check(storm)
