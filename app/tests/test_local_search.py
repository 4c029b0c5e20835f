"""What a cluster does, on this machine too: rounds of trials, the limits of a pod, pauses."""

import json
from datetime import UTC, datetime

import pytest

from app.contract.job import JobState
from app.jobs.causes import Cause, failure
from app.tests.cast import tenant_entry
from app.tests.local import JobPath, envelope, publish
from app.workflows.controller import Controller
from app.workflows.folder import LocalWorkflow
from app.workflows.local import LocalWorkflows
from app.workflows.progress import SEARCH_PIPELINE, Ending, Progress, after, pipeline_of
from app.workflows.workflow import Phase
from trainer.contract.job import TrainingJob
from trainer.contract.search import Search

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SEARCHING = TrainingJob(job="job", tenant="acme", base="b", data="d", search=Search())
PARAMETERS = {"job": SEARCHING.to_parameter(), "attempt": "1", "traceparent": "00-x"}

# `search` asks for two trials, then for one, then for none; the second trial refuses what was proposed.
PLAY = """
import os, pathlib, sys
step, work = sys.argv[1], pathlib.Path.cwd()
told = (work / 'ran').read_text().split() if (work / 'ran').exists() else []
trial = os.environ.get('TENON_TRIAL', '')
(work / 'ran').write_text(' '.join([*told, step + trial]))
if step == 'search':
    (work / 'round').mkdir(exist_ok=True)
    first, trials = [(0, 2), (2, 1), (3, 0)][told.count('search')]
    (work / 'round/first').write_text(str(first))
    (work / 'round/trials').write_text(str(trials))
sys.exit(2 if trial == '1' else 0)
"""


def walk(*endings: tuple[int, tuple[int, int]]) -> Progress:
    progress = Progress().begun(NOW)
    for code, asked in endings:
        progress = after(progress, Ending(returncode=code, at=NOW, round=asked), pipeline=SEARCH_PIPELINE)
    return progress


def test_a_search_has_its_own_steps_in_the_place_of_train() -> None:
    assert [step.name for step in pipeline_of(SEARCHING)] == ["prepare", "search", "trial", "evaluate", "publish"]
    assert "train" in [step.name for step in pipeline_of(envelope("job").training)]


@pytest.mark.parametrize(
    ("endings", "step", "trial"),
    [
        ([(0, (0, 0)), (0, (0, 2))], "trial", 0),
        ([(0, (0, 0)), (0, (0, 2)), (0, (0, 2))], "trial", 1),
        ([(0, (0, 0)), (0, (0, 2)), (0, (0, 2)), (0, (0, 2))], "search", None),
        ([(0, (0, 0)), (0, (4, 1)), (2, (4, 1))], "search", None),  # a trial that fails is a result like any other
        ([(0, (0, 0)), (0, (4, 1)), (75, (4, 1))], "trial", 4),  # one that was stopped goes on
        ([(0, (0, 0)), (0, (7, 0))], "evaluate", None),
    ],
)
def test_trials_follow_each_other_until_none_is_asked_for(
    endings: list[tuple[int, tuple[int, int]]], step: str, trial: int | None
) -> None:
    progress = walk(*endings)
    assert (SEARCH_PIPELINE[progress.index].name, progress.trial, progress.phase) == (step, trial, Phase.RUNNING)


def searching(path: JobPath) -> Controller:
    made = path.controller()
    made.pipeline = None
    ours = made.command
    made.command = lambda step: [*ours(step), step.name]
    return made


def test_a_search_runs_all_rounds_on_this_machine(job_path: JobPath) -> None:
    job_path.workflows = LocalWorkflows(job_path.folder, slots=1)
    job_path.workflows.create("ft-job-a1", tenant=tenant_entry(), parameters=PARAMETERS)
    job_path.script = PLAY
    job_path.run(searching(job_path), until=lambda: job_path.workflows.list()[0].phase.is_final)
    (status,) = job_path.workflows.list()
    assert (status.phase, status.step) == (Phase.SUCCEEDED, "publish")
    ran = (job_path.attempt_folder("job") / "work" / "ran").read_text().split()
    assert ran == ["prepare", "search", "trial0", "trial1", "search", "trial2", "search", "evaluate", "publish"]


def test_an_attempt_that_takes_longer_than_it_may_is_ended(job_path: JobPath) -> None:
    job_path.script = "import signal; signal.pause()"
    publish(job_path.engine, envelope("job"))
    controller = job_path.controller()
    job_path.run(controller, until=lambda: bool(controller.running))
    controller.deadline_seconds = 0.0
    job_path.run(controller, until=lambda: job_path.state("job").is_final)
    (status,) = job_path.workflows.list()
    told = failure(status.message, exit_code=status.exit_code)
    assert told.cause is Cause.DEADLINE
    assert controller.running == {}


def test_a_step_has_the_limits_of_a_pod(job_path: JobPath) -> None:
    job_path.script = (
        "import json, resource; json.dump({n: resource.getrlimit(getattr(resource, 'RLIMIT_' + n))[0]"
        " for n in ('CORE', 'DATA', 'FSIZE')}, open('limits', 'w'))"
    )
    publish(job_path.engine, envelope("job"))
    job_path.run(job_path.controller(), until=lambda: finished(job_path))
    found = json.loads((job_path.attempt_folder("job") / "work" / "limits").read_text())
    assert found["CORE"] == 0
    assert found["DATA"] > 0
    assert found["FSIZE"] == 100 * 2**30


def test_a_paused_job_goes_on_as_its_next_attempt(job_path: JobPath) -> None:
    job_path.script = (
        "import os, signal, sys\nsignal.signal(15, lambda *_: sys.exit(75))\n"
        "if os.environ['TENON_ATTEMPT'] == '1': signal.pause()"
    )
    publish(job_path.engine, envelope("job"))
    controller = job_path.controller()
    job_path.run(
        controller, until=lambda: job_path.jobs.find("job") is not None and job_path.state("job") is JobState.RUNNING
    )
    job_path.jobs.pause("acme", "job")
    job_path.run(controller, until=lambda: job_path.state("job") is JobState.PAUSED)
    job_path.jobs.resume("acme", "job")
    job_path.run(controller, until=lambda: job_path.state("job").is_final)
    assert job_path.state("job") is JobState.SUCCEEDED
    attempts = [
        found.parameters["attempt"] for name in ("ft-job-a1", "ft-job-a2") if (found := workflow(job_path, name))
    ]
    assert attempts == ["1", "2"]


def finished(path: JobPath) -> bool:
    found = path.jobs.find("job")
    return found is not None and found.state.is_final


def workflow(path: JobPath, name: str) -> LocalWorkflow | None:
    return path.folder.workflow(name)
