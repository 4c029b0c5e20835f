"""Crash storms over real processes, on the embedded components and on the real ones (tiers services and long)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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


def embedded(tmp_path: Path) -> Components:
    return Components(f"sqlite:///{tmp_path}/home/store.db")


@pytest.mark.requirement("A12", "A13", "A33")
@pytest.mark.parametrize(
    ("jobs", "kills"),
    [pytest.param(1000, 12, marks=pytest.mark.services), pytest.param(20_000, 40, marks=pytest.mark.long)],
)
def test_a_storm_loses_no_job_and_doubles_none_on_the_embedded_components(
    begin: Begin, tmp_path: Path, jobs: int, kills: int
) -> None:
    storm = begin(embedded(tmp_path))
    rage(storm, jobs=jobs, kills=kills, seed=jobs)
    assert len(storm.answers) == jobs
    assert storm.kills.total() == kills
    check(storm)
