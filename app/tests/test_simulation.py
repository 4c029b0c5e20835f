"""Every place where a process can die, and drawn schedules of many: no job is lost, and none runs twice."""

import random
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from app.broker.sql import SqlPublisher
from app.contract.directory import Limits, TenantEntry
from app.contract.job import JobState
from app.tests.cast import tenant_entry
from app.tests.local import JobPath, envelope
from app.tests.simulation import Chances, Simulation, hard, left, simulated

TENANTS = ("acme", "globex", "initech")
JOBS = 5  # of a drawn schedule


def cancel(path: JobPath, job: str, tenant: str) -> None:
    path.jobs.cancel(tenant, job)


def pause(path: JobPath, job: str, tenant: str) -> None:
    path.jobs.pause(tenant, job)


def resume(path: JobPath, job: str, tenant: str) -> None:
    path.jobs.resume(tenant, job)


def retry(path: JobPath, job: str, tenant: str) -> None:
    path.jobs.retry(job)


WISHES = ((), (), (cancel,), (pause, resume), (pause, resume, pause), (pause, resume, cancel), (retry, retry))


def entry(tenant: str) -> TenantEntry:
    made = tenant_entry(tenant, limits=Limits(running_jobs=2), key=f"ftk_{tenant}_of-the-simulation")
    return hard(made, slots=2) if tenant == "initech" else made


class World(JobPath):
    """The path, and a caller whose requests are acknowledged one after the other."""

    portal: BlockingPortal

    def accept(self, job: str, tenant: str) -> None:
        """As the API does it, which may be asked twice, and may die before it makes the row itself."""
        self.portal.call(partial(SqlPublisher(self.engine).publish, envelope(job, tenant), traceparent=None))


@pytest.fixture
def path(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "home", slots=1000, tenants=tuple(map(entry, TENANTS)))
    with simulated(made), start_blocking_portal() as made.portal:
        yield made
    made.engine.dispose()


def history(path: JobPath, job: str, tenant: str) -> list[str]:
    found = path.jobs.events(tenant, job, after=None, limit=1000)
    assert [event.id for event in found] == sorted({event.id for event in found})
    return [event.message for event in found]


def check(simulation: Simulation, job: str, tenant: str) -> None:
    """Each attempt has one workflow, and the history tells each thing once, in its order."""
    path = simulation.path
    found = path.jobs.find(job)
    assert found is not None, f"{job} was lost"
    assert found.state.is_final or found.state is JobState.PAUSED, (job, found.state)
    told = history(path, job, tenant)
    assert told[0] == "queued", told
    begun = [text for text in told if text.endswith(" begun")]
    assert begun == [f"attempt {number} begun" for number in range(1, found.attempt + 1)], told
    made = {name for name, (one, *_) in simulation.workflows.of.items() if one == job}
    assert made <= {f"ft-{job}-a{number}" for number in range(1, found.attempt + 1)}
    for number in range(1, found.attempt + 1):
        ends = [text for text in told if re.match(rf"attempt {number} (succeeded|failed|paused)", text)]
        assert len(ends) <= 1, told
    if found.state is JobState.SUCCEEDED:
        assert f"ft-{job}-a{found.attempt}" in made
        assert told[-1] == f"attempt {found.attempt} succeeded"


def kill_at(simulation: Simulation, effects: int) -> bool:
    """One round of each process, all of which die before the effect of that number. Whether it came so far."""
    for process in simulation.processes:
        process.go_on()
        while not process.is_idle:
            effects -= 1
            if effects < 0:
                process.kill()
                return True
            process.go_on()
    return False


@pytest.mark.requirement("A12", "A9")
def test_a_job_is_run_once_wherever_its_processes_die(path: World) -> None:
    """Two processes that die, one after the other, each before every one of its effects."""
    first, again = 0, True
    while again:
        job, simulation = f"job{first}", Simulation(path)
        path.accept(job, "acme")
        again = kill_at(simulation, first)
        simulation.time_passes()
        kill_at(simulation, first // 2)
        simulation.settle()
        assert list(simulation.workflows.found) == [f"ft-{job}-a1"], f"killed before effect {first}"
        check(simulation, job, "acme")
        assert left(path) == 0
        first += 1
    assert first > 10  # it came to every one


def schedule(path: World, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - a schedule
    simulation = Simulation(path, dispatchers=2)
    jobs = {f"s{seed}j{number}": draw.choice(TENANTS) for number in range(JOBS)}
    acts: list[Callable[[], object]] = []
    for job, tenant in jobs.items():
        acts += [partial(path.accept, job, tenant)] * draw.choice((1, 1, 2))
        acts += [partial(wish, path, job, tenant) for wish in draw.choice(WISHES)]
    draw.shuffle(acts)
    Chances(simulation, draw, acts).play(effects=150)
    for job, tenant in jobs.items():
        check(simulation, job, tenant)
    assert left(path) == 0


@pytest.mark.requirement("A12", "A33")
@pytest.mark.parametrize(
    "seeds",
    [
        range(12),
        pytest.param(range(12, 72), marks=pytest.mark.services),
        *(pytest.param(range(start, start + 500), marks=pytest.mark.long) for start in range(72, 10_072, 500)),
    ],
    ids=lambda seeds: f"seeds {seeds.start}-{seeds.stop - 1}",
)
def test_no_drawn_schedule_loses_or_doubles_a_job(path: World, seeds: range) -> None:
    for seed in seeds:
        schedule(path, seed)
