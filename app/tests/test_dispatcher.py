"""The dispatcher: one workflow per job through kills at every effect; fair; nothing made that nobody wants."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event

from app.contract.directory import Limits, TenantEntry
from app.contract.job import JobState
from app.jobs.state import Move
from app.store.tables import attempts as attempt_rows
from app.tests.cast import tenant_entry
from app.tests.local import JobPath, count, dead, envelope, publish
from app.workflows.folder import WorkflowsFolder
from app.workflows.local import LocalWorkflows
from app.workflows.workflow import Phase

MANY = 100


class Killed(BaseException):
    """The process ends here: nothing catches this."""


class Fuse:
    """Kills at the k-th effect, before it is made."""

    def __init__(self, effects: int) -> None:
        self.left = effects

    def burn(self, *_: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


class FusedWorkflows(LocalWorkflows):
    """LocalWorkflows that notes what it made."""

    def __init__(self, home: Path, *, fuse: Fuse, made: list[str]) -> None:
        super().__init__(WorkflowsFolder(home), slots=MANY)
        self.fuse, self.made = fuse, made

    def create(self, name: str, *, tenant: TenantEntry, parameters: Mapping[str, str]) -> None:
        self.fuse.burn()
        super().create(name, tenant=tenant, parameters=parameters)
        self.made.append(name)


@contextmanager
def restarted(home: Path, *, fuse: Fuse) -> Iterator[JobPath]:
    """A new process over the home, whose every commit burns the fuse."""
    path = JobPath(home, slots=MANY)
    event.listen(path.engine, "commit", fuse.burn)
    try:
        yield path
    except Killed:
        pass
    finally:
        path.engine.dispose()


@pytest.mark.requirement("A12", "A9")
def test_a_kill_before_any_effect_loses_no_job_and_doubles_none(tmp_path: Path) -> None:
    effects, killed = 0, True
    while killed:
        effects += 1
        home, made, fuse = tmp_path / str(effects), list[str](), Fuse(effects)
        with restarted(home, fuse=Fuse(0)) as path:
            publish(path.engine, envelope("one"), envelope("two", "globex"), envelope("one"))
        with restarted(home, fuse=fuse) as path:
            path.dispatcher(FusedWorkflows(home, fuse=fuse, made=made)).round()
        killed = fuse.left <= 0
        with restarted(home, fuse=Fuse(0)) as path:
            path.dispatcher(FusedWorkflows(home, fuse=Fuse(0), made=made)).round()
            assert sorted(made) == ["ft-one-a1", "ft-two-a1"], f"killed before effect {effects}"
            assert [attempt.workflow for attempt in path.attempts.unfinished()] == sorted(made)
            assert count(path.engine, attempt_rows) == len(made)
    assert effects > 10  # the kills reached every row, both workflows and the acknowledgements


@pytest.mark.requirement("A6")
def test_a_job_published_twice_runs_once(job_path: JobPath) -> None:
    publish(job_path.engine, envelope("job"), envelope("job"))
    job_path.run(
        job_path.controller(), until=lambda: job_path.state("job").is_final if job_path.jobs.find("job") else False
    )
    publish(job_path.engine, envelope("job"))  # redelivered after its end
    job_path.dispatcher().round()
    assert [status.phase for status in job_path.workflows.list()] == [Phase.SUCCEEDED]
    assert job_path.state("job") is JobState.SUCCEEDED


@pytest.mark.requirement("A7")
def test_a_flood_of_one_tenant_costs_another_at_most_two_slots(tmp_path: Path) -> None:
    limits = Limits(running_jobs=MANY)
    tenants = (tenant_entry("acme", limits=limits), tenant_entry("globex", limits=limits))
    path = JobPath(tmp_path / "home", slots=2, tenants=tenants)
    publish(path.engine, *(envelope(f"flood{number}") for number in range(30)))
    begun: list[str] = []
    for turn in range(8):
        if turn == 3:
            publish(path.engine, envelope("quiet", "globex"))
        path.dispatcher().round()  # each time a new one: the turn is in the store
        for attempt in path.attempts.unfinished()[: 1 + turn % 2]:
            begun.append(attempt.job.id)
            path.attempts.finish(attempt, Move.SUCCEED)
    path.engine.dispose()
    waited = begun.index("quiet") - sum(1 + turn % 2 for turn in range(3))
    assert waited <= 2


def test_a_tenants_cap_holds_for_all_dispatchers_together(tmp_path: Path) -> None:
    tenants = (tenant_entry("acme", limits=Limits(running_jobs=2)), tenant_entry("globex"))
    path = JobPath(tmp_path / "home", slots=MANY, tenants=tenants)
    publish(path.engine, *(envelope(f"job{number}", ("acme", "globex")[number % 2]) for number in range(10)))
    for dispatcher in (path.dispatcher(), path.dispatcher()):
        dispatcher.round()
    assert Counter(attempt.job.tenant for attempt in path.attempts.unfinished()) == {"acme": 2, "globex": 2}
    assert not path.attempts.begin("job8", cap=2)
    path.engine.dispose()


def test_a_message_of_an_unknown_tenant_is_a_dead_letter(job_path: JobPath) -> None:
    publish(job_path.engine, envelope("job", "initech"))
    job_path.dispatcher().round()
    assert dead(job_path.engine) == ["tenant 'initech': not in the tenant directory"]


def test_a_job_whose_tenant_was_removed_fails_and_says_so(job_path: JobPath) -> None:
    job_path.jobs.insert_or_ignore(envelope("job", "initech"), traceparent=None)
    job_path.attempts.begin("job", cap=1)
    job_path.dispatcher().round()
    found = job_path.jobs.find("job")
    assert found is not None
    assert (found.state, found.error) == (JobState.FAILED, "the tenant is no longer in the tenant directory")


def test_a_job_cancelled_before_its_workflow_was_made_runs_no_step(job_path: JobPath) -> None:
    job_path.jobs.insert_or_ignore(envelope("job"), traceparent=None)
    job_path.attempts.begin("job", cap=1)
    job_path.jobs.cancel("acme", "job")
    job_path.dispatcher().round()  # takes the name, so that no other dispatcher can still make it
    job_path.run(job_path.controller(), until=lambda: job_path.attempts.live() == {})
    (status,) = job_path.workflows.list()
    assert (status.phase, status.started_at) == (Phase.FAILED, None)
    assert job_path.state("job") is JobState.CANCELLED


def test_a_workflow_that_was_made_but_not_noted_is_stopped_with_its_cancelled_job(job_path: JobPath) -> None:
    job_path.jobs.insert_or_ignore(envelope("job"), traceparent=None)
    job_path.attempts.begin("job", cap=1)
    made = job_path.dispatcher()
    job_path.workflows.create("ft-job-a1", tenant=tenant_entry(), parameters=PARAMETERS)  # then the dispatcher died
    job_path.jobs.cancel("acme", "job")
    made.round()
    job_path.run(job_path.controller(), until=lambda: job_path.attempts.live() == {})
    assert [status.message for status in job_path.workflows.list()] == ["stopped on request"]
    assert job_path.state("job") is JobState.CANCELLED


PARAMETERS = {"job": envelope("job").training.to_parameter(), "attempt": "1", "traceparent": "00-x"}
