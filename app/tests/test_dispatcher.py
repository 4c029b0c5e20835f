"""The dispatcher: one workflow per job through kills at every effect; fair; nothing made that nobody wants."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import event

from app.contract.cost import Cost
from app.contract.directory import Budget, Limits, TenantEntry
from app.contract.job import JobState
from app.dispatcher import most_queued
from app.jobs.state import Move
from app.store.tables import attempts as attempt_rows
from app.tests.cast import tenant_entry
from app.tests.local import JobPath, count, dead, envelope, publish
from app.workflows.folder import WorkflowsFolder
from app.workflows.local import LocalWorkflows
from app.workflows.workflow import Phase
from trainer.contract.report import Usage

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


def with_budget(tenant: str, *, spent: str, hard_stop: bool = True) -> tuple[TenantEntry, Decimal]:
    budget = Budget(monthly=Decimal(10), hard_stop=hard_stop)
    return tenant_entry(tenant).model_copy(update={"budget": budget}), Decimal(spent)


@pytest.mark.requirement("A34")
@pytest.mark.parametrize(
    ("spent", "stops", "begun"),
    [("9.99", "hard", {"acme", "globex"}), ("10", "hard", {"globex"}), ("99", "never", {"acme", "globex"})],
)
def test_a_spent_budget_begins_no_job_where_it_is_meant_to_stop(
    tmp_path: Path, spent: str, stops: str, begun: set[str]
) -> None:
    acme, amount = with_budget("acme", spent=spent, hard_stop=stops == "hard")
    path = JobPath(tmp_path / "home", slots=MANY, tenants=(acme, tenant_entry("globex")))
    publish(path.engine, envelope("before"))
    path.dispatcher().round()
    (attempt,) = path.attempts.unfinished()
    cost = Cost(amount=amount, currency="EUR")
    path.ledger.note(attempt, usage=Usage(), waited_seconds=0, cost=cost, final=True)
    path.attempts.finish(attempt, Move.SUCCEED)
    publish(path.engine, envelope("next"), envelope("other", "globex"))
    path.dispatcher().round()
    assert {attempt.job.tenant for attempt in path.attempts.unfinished()} == begun
    path.engine.dispose()


def test_jobs_with_isolation_hard_have_a_slot_each_and_wait_for_one(tmp_path: Path) -> None:
    hard = tenant_entry("acme", limits=Limits(running_jobs=5)).model_copy(update={"slots": 2})
    path = JobPath(tmp_path / "home", slots=MANY, tenants=(hard,))
    publish(path.engine, *(envelope(f"job{number}", minute=number) for number in range(4)))
    path.dispatcher().round()
    live = path.attempts.unfinished()
    assert sorted(str(attempt.slot) for attempt in live) == ["0", "1"]
    freed = next(attempt for attempt in live if attempt.slot == 1)
    path.attempts.finish(freed, Move.SUCCEED)
    path.dispatcher().round()
    told = {attempt.job.id: path.folder.workflow(attempt.workflow) for attempt in path.attempts.unfinished()}
    assert {job: found.parameters["slot"] for job, found in told.items() if found} == {"job0": "0", "job2": "1"}
    path.engine.dispose()


def test_jobs_that_wait_when_their_tenant_is_removed_fail_and_say_so(job_path: JobPath) -> None:
    for number in range(2):
        job_path.jobs.insert_or_ignore(envelope(f"job{number}", "initech"), traceparent=None)
    for _ in range(2):
        job_path.dispatcher().round()
    found = [job_path.jobs.find(f"job{number}") for number in range(2)]
    assert [(job.state, job.error_code) for job in found if job] == [(JobState.FAILED, "tenant_removed")] * 2


@pytest.mark.requirement("A8")
def test_what_comes_past_the_api_is_held_to_the_quota_too(tmp_path: Path) -> None:
    tenants = (tenant_entry("acme", limits=Limits(queued_jobs=10, running_jobs=1)), tenant_entry("globex"))
    path = JobPath(tmp_path / "home", slots=MANY, tenants=tenants)
    publish(path.engine, *(envelope(f"job{number}") for number in range(40)), envelope("other", "globex"))
    path.dispatcher().round()
    states = path.jobs.counts("acme")
    assert states[JobState.FAILED] == 40 - most_queued(10)
    assert path.jobs.counts("globex")[JobState.FAILED] == 0
    path.engine.dispose()


PARAMETERS = {"job": envelope("job").training.to_parameter(), "attempt": "1", "traceparent": "00-x"}
