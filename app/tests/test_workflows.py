"""Local workflows: one per name, one process per attempt, resumed where it was, each in its tenant's surroundings."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract.job import JobState
from app.tests.cast import tenant_entry
from app.tests.local import STEPS, JobPath, envelope, publish
from app.workflows.controller import Controller
from app.workflows.folder import WorkflowsFolder
from app.workflows.progress import MOST_RESUMES, Ending, Progress, after
from app.workflows.workflow import Phase, WorkflowStatus, WorkflowsUnavailable
from trainer.contract import steps
from trainer.contract.job import TrainingJob

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PARAMETERS = {"job": envelope("job").training.to_parameter(), "attempt": "1", "traceparent": TRACE}

# Scripts that a step runs, in its scratch folder.
WAIT = "import pathlib, time\npathlib.Path('begun').touch()\nwhile not pathlib.Path('go').exists(): time.sleep(0.01)"
TELL = "import json, os, pathlib; pathlib.Path('told').write_text(json.dumps(dict(os.environ)))"
STOPPABLE = "import signal, sys\nsignal.signal(15, lambda *_: sys.exit(75))\nopen('begun', 'a').close()\nsignal.pause()"


def create(path: JobPath, name: str = "ft-job-a1", tenant: str = "acme") -> Path:
    """A workflow as the dispatcher makes it; its scratch folder."""
    path.workflows.create(name, tenant=tenant_entry(tenant), parameters=PARAMETERS)
    return path.home / "tenants" / tenant / name / "work"


def status(path: JobPath) -> WorkflowStatus:
    found = path.workflows.get("ft-job-a1")
    assert found is not None
    return found


def ended(path: JobPath) -> bool:
    return status(path).phase.is_final


def walk(codes: list[int], *, pipeline: tuple[steps.Step, ...] = STEPS) -> Progress:
    """Where a workflow stands after steps that ended so, none leaving a checkpoint."""
    progress = Progress().begun(NOW)
    for code in codes:
        if not progress.phase.is_final:
            progress = after(progress, Ending(returncode=code, at=NOW, last_line=f"said {code}"), pipeline=pipeline)
    return progress


@pytest.mark.parametrize(
    ("codes", "phase", "index", "message"),
    [
        ([], Phase.RUNNING, 0, None),
        ([0], Phase.RUNNING, 1, None),
        ([0, 0], Phase.SUCCEEDED, 1, None),
        ([2], Phase.FAILED, 0, "said 2"),
        ([1, 1], Phase.RUNNING, 0, None),
        ([1, 1, 1], Phase.FAILED, 0, "said 1"),
        ([1, 1, 0, 1, 0], Phase.SUCCEEDED, 1, None),  # a step's failures are its own
        ([0, 1, 1], Phase.FAILED, 1, "said 1"),
        ([0, 75, 143, -15, 75, 1], Phase.RUNNING, 1, None),  # stops are no failures
        ([-9, -9, -9], Phase.FAILED, 0, "said -9"),
    ],
)
def test_an_exit_code_means_what_the_table_of_steps_says(
    codes: list[int], phase: Phase, index: int, message: str | None
) -> None:
    progress = walk(codes)
    assert (progress.phase, progress.index, progress.message) == (phase, index, message)


def test_stops_without_a_new_checkpoint_come_to_an_end() -> None:
    assert walk([75] * MOST_RESUMES).phase is Phase.RUNNING
    failed = walk([75] * (MOST_RESUMES + 1))
    assert failed.phase is Phase.FAILED
    assert "without a new checkpoint" in str(failed.message)


def test_stops_with_a_new_checkpoint_each_go_on_for_ever() -> None:
    progress = Progress().begun(NOW)
    for number in range(20):
        ending = Ending(returncode=75, at=NOW, checkpoints=(f"checkpoints/{number}",))
        progress = after(progress, ending, pipeline=STEPS)
    assert progress.phase is Phase.RUNNING


@given(st.lists(st.sampled_from([0, 1, 2, 75, 143, -9, -15, 137]), max_size=30))
def test_a_stopped_or_failed_step_never_looks_finished(codes: list[int]) -> None:
    succeeded = walk(codes).phase is Phase.SUCCEEDED
    assert not succeeded or codes.count(0) >= len(STEPS)


@pytest.mark.parametrize("name", ["../x", "", "A", "a/b", "x" * 64])
def test_a_name_that_is_no_label_makes_no_path(job_path: JobPath, name: str) -> None:
    with pytest.raises(ValueError, match="no DNS label"):
        create(job_path, name)
    assert not job_path.workflows.admits(name, "token")


def test_a_disk_that_refuses_is_an_outage(job_path: JobPath) -> None:
    (job_path.home / "workflows").write_text("a file where the folder belongs")
    with pytest.raises(WorkflowsUnavailable, match="free space"):
        create(job_path)


@pytest.mark.requirement("A16")
def test_a_step_knows_one_tenants_credentials_and_nothing_by_accident(
    job_path: JobPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "TENON_STORE_URL", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "somebody-elses")
    work, controller = create(job_path), job_path.controller()
    job_path.script = TELL
    job_path.run(controller, until=lambda: ended(job_path))
    told = json.loads((work / "told").read_text())
    assert {"somebody-elses"}.isdisjoint(told.values())
    assert not [value for value in told.values() if "globex" in value]
    assert (told["AWS_ACCESS_KEY_ID"], told[steps.BUCKET_URL]) == ("key-of-acme", "s3://tenon-acme")
    assert (told["HOME"], told[steps.ATTEMPT]) == (str(work), "1")
    assert TrainingJob.from_parameter(told[steps.JOB]) == envelope("job").training
    assert told[steps.STATUS_URL].endswith("/internal/jobs/job/attempts/1/status")
    token = Path(told[steps.STATUS_TOKEN_FILE])
    assert job_path.workflows.admits("ft-job-a1", token.read_text())
    assert token.parent.stat().st_mode & 0o077 == 0


@pytest.mark.requirement("A35")
def test_the_steps_are_spans_of_the_jobs_trace(job_path: JobPath) -> None:
    work = create(job_path)
    job_path.script = TELL
    job_path.run(job_path.controller(), until=lambda: ended(job_path))
    spans = [json.loads(line) for line in (job_path.home / "traces.jsonl").read_text().splitlines()]
    assert [span["name"] for span in spans] == ["step prepare", "step train"]
    assert {span["traceId"] for span in spans} == {TRACE.split("-")[1]}
    told = json.loads((work / "told").read_text())
    assert told[steps.TRACEPARENT].split("-")[2] == spans[-1]["spanId"]


def test_missing_credentials_fail_the_workflow_with_the_remedy(job_path: JobPath) -> None:
    create(job_path)
    (job_path.home / "credentials" / "acme.json").unlink()
    job_path.run(job_path.controller(), until=lambda: ended(job_path))
    assert "`tenon up` writes it" in str(status(job_path).message)
    assert status(job_path).exit_code == steps.Exit.BAD_INPUT


def test_a_step_that_outlives_its_controller_keeps_its_successor_waiting(job_path: JobPath) -> None:
    work = create(job_path)
    job_path.script = WAIT
    dead, successor = job_path.controller(), job_path.controller()
    job_path.run(dead, until=(work / "begun").exists)
    orphan = dead.running["ft-job-a1"]
    orphan.lock.close()  # as the kernel does for a controller that was killed
    successor.round()
    assert successor.running == {}
    (work / "go").touch()
    job_path.run(successor, until=lambda: ended(job_path))
    assert orphan.process is not None
    assert orphan.process.wait(5)
    assert status(job_path).phase is Phase.SUCCEEDED


@pytest.mark.requirement("A12")
def test_a_controller_that_is_told_to_stop_saves_its_steps_and_the_next_one_goes_on(job_path: JobPath) -> None:
    work = create(job_path)
    job_path.script = STOPPABLE
    first = job_path.controller()
    job_path.run(first, until=(work / "begun").exists)
    first.shut_down()
    assert (status(job_path).phase, status(job_path).step) == (Phase.RUNNING, "prepare")
    assert job_path.folder.progress("ft-job-a1").resumes == 0
    job_path.script = "pass"
    job_path.run(job_path.controller(), until=lambda: ended(job_path))
    assert status(job_path).phase is Phase.SUCCEEDED


class Killed(BaseException):
    """The controller ends here: nothing catches this."""


class FusedFolder(WorkflowsFolder):
    """A folder whose n-th record is the controller's last act, made or not made."""

    def __init__(self, home: Path, *, records: int, made: bool) -> None:
        super().__init__(home)
        self.left, self.made = records, made

    def keep(self, name: str, progress: Progress) -> None:
        self.left -= 1
        if self.left == 0 and not self.made:
            raise Killed
        super().keep(name, progress)
        if self.left == 0:
            raise Killed


@pytest.mark.requirement("A12")
@pytest.mark.parametrize("made", [True, False])
@pytest.mark.parametrize("records", [1, 2, 3, 4])
def test_a_controller_killed_at_any_record_is_followed_to_the_end(job_path: JobPath, records: int, made: bool) -> None:  # noqa: FBT001
    work = create(job_path)
    job_path.script = "import os; open('ran', 'a').write(os.environ['TENON_JOB'][:1])"
    first = job_path.controller()
    first.folder = FusedFolder(job_path.home, records=records, made=made)
    with pytest.raises(Killed):
        job_path.run(first, until=lambda: ended(job_path))
    for attempt in first.running.values():
        attempt.lock.close()  # as the kernel does
    job_path.run(job_path.controller(), until=lambda: ended(job_path))
    assert status(job_path).phase is Phase.SUCCEEDED
    repeated = 1 if records in {2, 4} and not made else 0  # a step whose end was not recorded runs again
    assert len((work / "ran").read_text()) == len(STEPS) + repeated


def test_a_step_that_hangs_after_its_stop_is_killed(job_path: JobPath) -> None:
    work = create(job_path)
    job_path.script = "import signal\nsignal.signal(15, signal.SIG_IGN)\nopen('begun', 'a').close()\nsignal.pause()"
    controller = job_path.controller()
    job_path.run(controller, until=(work / "begun").exists)
    job_path.workflows.stop("ft-job-a1")
    controller.round()
    controller.clock = lambda: float("inf")
    job_path.run(controller, until=lambda: ended(job_path))
    assert status(job_path).message == "stopped on request"


def test_no_more_workflows_run_than_there_are_slots(job_path: JobPath) -> None:
    job_path.slots = 2
    works = [create(job_path, f"ft-job{number}-a1") for number in range(4)]
    job_path.script = WAIT
    controller = job_path.controller()
    job_path.run(controller, until=lambda: sum((work / "begun").exists() for work in works) == 2)
    controller.round()
    assert sorted(controller.running) == ["ft-job0-a1", "ft-job1-a1"]
    for work in works:
        work.mkdir(parents=True, exist_ok=True)
        (work / "go").touch()
    job_path.run(controller, until=lambda: all(s.phase is Phase.SUCCEEDED for s in job_path.workflows.list()))


def test_a_program_that_cannot_be_started_is_an_outage_and_tried_again(job_path: JobPath) -> None:
    create(job_path)
    controller: Controller = job_path.controller()
    works, controller.command = controller.command, lambda _step: ["/nowhere/python"]
    with pytest.raises(WorkflowsUnavailable, match="nowhere"):
        controller.round()
    controller.command = works
    job_path.run(controller, until=lambda: ended(job_path))
    assert status(job_path).phase is Phase.SUCCEEDED


def test_a_job_goes_from_message_to_success_as_one_trace(job_path: JobPath) -> None:
    publish(job_path.engine, envelope("job"), traceparent=TRACE)
    job_path.run(
        job_path.controller(),
        until=lambda: job_path.jobs.find("job") is not None and job_path.state("job") is JobState.SUCCEEDED,
    )
    spans = [json.loads(line) for line in (job_path.home / "traces.jsonl").read_text().splitlines()]
    assert {span["traceId"] for span in spans} == {TRACE.split("-")[1]}
    assert [span["name"] for span in spans] == [
        "process finetuning-jobs",
        "create workflow",
        "step prepare",
        "step train",
    ]
    assert job_path.attempt_folder("job").stat().st_mode & 0o077 == 0
