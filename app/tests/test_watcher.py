"""The watcher: it decides outcomes; steps may report on their own job only."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.contract.internal import STATUS_PATH
from app.contract.job import JobState, workflow_name
from app.jobs.causes import Cause, Failure
from app.reporting import BURST, MOST_BYTES, MOST_NUMBERS
from app.store.checkpoints import Checkpoints
from app.tests.local import JobPath, envelope, publish
from app.workflows.local import LocalWorkflows
from app.workflows.workflow import Phase, WorkflowStatus, WorkflowsUnavailable

REPORT = {
    "trainerStatus": {
        "lastUpdatedTime": "2026-01-01T00:00:00Z",
        "progressPercentage": 45,
        "estimatedRemainingSeconds": 12,
        "metrics": [{"name": "loss", "value": "1.5"}, {"name": "adapterDigest", "value": "0" * 64}],
    }
}
STATUS = STATUS_PATH.format(job="job", attempt=1)


@pytest.fixture
def begun(job_path: JobPath) -> JobPath:
    """A job whose workflow is made and not yet picked up."""
    publish(job_path.engine, envelope("job"))
    job_path.dispatcher().round()
    return job_path


@pytest.mark.parametrize(
    ("script", "state", "code", "error"),
    [
        ("pass", JobState.SUCCEEDED, None, None),
        (
            "import sys; sys.stderr.write('working\\nrows.jsonl:3: no JSON'); sys.exit(2)",
            JobState.FAILED,
            "invalid_input",
            "rows.jsonl:3: no JSON",
        ),
        (
            "import os; os.kill(os.getpid(), 9)",
            JobState.FAILED,
            "out_of_memory",
            "step prepare ran out of memory (exit code 137)",
        ),
        (
            "import sys; sys.exit('the disk is full')",
            JobState.FAILED,
            "step_failed",
            "step prepare failed (exit code 1): the",
        ),
    ],
)
def test_a_job_ends_as_its_workflow_does(
    begun: JobPath, script: str, state: JobState, code: str | None, error: str | None
) -> None:
    begun.script = script
    begun.run(begun.controller(), until=lambda: begun.state("job").is_final)
    found = begun.jobs.find("job")
    assert found is not None
    assert (found.state, found.error_code, found.finished_at is not None) == (state, code, True)
    assert (found.error or "").startswith(error) if error else found.error is None
    assert begun.attempts.live() == {}


@pytest.mark.requirement("A11")
def test_the_history_tells_each_step_and_the_end(begun: JobPath) -> None:
    begun.run(begun.controller(), until=lambda: begun.state("job").is_final)
    told = begun.messages("job")
    wanted = ["queued", "attempt 1 begun", "attempt 1 admitted", "step prepare of attempt 1"]
    assert [text for text in told if text in wanted] == wanted
    assert told[-1] == "attempt 1 succeeded"


def test_a_running_job_stops_when_it_is_cancelled(begun: JobPath) -> None:
    begun.script = "import signal; signal.pause()"
    controller = begun.controller()
    begun.run(controller, until=lambda: begun.state("job") is JobState.RUNNING)
    begun.jobs.cancel("acme", "job")
    begun.run(controller, until=lambda: begun.attempts.live() == {})
    assert begun.state("job") is JobState.CANCELLED
    assert controller.running == {}


def test_a_workflow_that_is_gone_fails_its_job(begun: JobPath) -> None:
    (begun.home / "workflows" / "ft-job-a1" / "workflow.json").unlink()
    begun.watcher.round()
    found = begun.jobs.find("job")
    assert found is not None
    assert (found.state, found.error_code) == (JobState.FAILED, "workflow_gone")
    assert begun.messages("job")[-1].endswith("its workflow was deleted; submit the job again")


@dataclass
class Seen(LocalWorkflows):
    """Workflows that stand as a test says."""

    status: WorkflowStatus | None
    stopped: int = 0
    before: Callable[[], object] = bool  # runs before an answer is given

    capacity = 1

    def get(self, name: str) -> WorkflowStatus | None:
        assert name == workflow_name("job", 1)
        self.before()
        return self.status

    def stop(self, name: str) -> None:
        self.stopped += name == workflow_name("job", 1)


def stands(phase: Phase, **more: Any) -> WorkflowStatus:
    return WorkflowStatus(name="ft-job-a1", phase=phase, step="train", **more)


STOPPED = stands(Phase.FAILED, message="stopped on request", exit_code=75)


def test_a_pausing_job_rests_once_its_workflow_has_stopped(begun: JobPath) -> None:
    seen = Seen(stands(Phase.RUNNING))
    watcher = begun.watching(seen)
    begun.jobs.pause("acme", "job")
    watcher.round()
    watcher.round()
    assert (begun.state("job"), seen.stopped) == (JobState.PAUSING, 1)  # asked once, and given time
    seen.status = STOPPED
    watcher.round()
    assert begun.state("job") is JobState.PAUSED
    assert begun.attempts.live() == {}


def test_a_watcher_that_comes_late_does_not_fail_a_job_that_another_one_stopped(begun: JobPath) -> None:
    seen = Seen(STOPPED, before=lambda: begun.jobs.pause("acme", "job"))  # after this watcher has read the job
    begun.watching(seen).round()
    assert begun.state("job") is JobState.PAUSED


def test_input_that_is_refused_is_an_end_even_of_a_pausing_job(begun: JobPath) -> None:
    begun.jobs.pause("acme", "job")
    begun.watching(Seen(stands(Phase.FAILED, message="rows.jsonl:1: no JSON", exit_code=2))).round()
    assert begun.state("job") is JobState.FAILED


@pytest.mark.parametrize("status", [STOPPED, stands(Phase.SUCCEEDED), None])
def test_two_watchers_tell_one_end(begun: JobPath, status: WorkflowStatus | None) -> None:
    first, second = begun.watching(Seen(status)), begun.watching(Seen(status))
    first.round()
    told = begun.messages("job")
    second.round()
    assert begun.messages("job") == told
    assert len([text for text in told if text.startswith("attempt 1 ")]) == 2  # begun, and its end


def test_an_attempt_that_cannot_be_judged_holds_up_no_other(begun: JobPath, caplog: pytest.LogCaptureFixture) -> None:
    publish(begun.engine, envelope("other", "globex"))
    begun.slots = begun.workflows.capacity = 2
    begun.dispatcher().round()

    class Odd(Seen):
        def get(self, name: str) -> WorkflowStatus | None:
            if name == workflow_name("job", 1):
                raise ValueError(name)
            return self.status

    begun.watching(Odd(stands(Phase.SUCCEEDED))).round()
    assert (begun.state("job"), begun.state("other")) == (JobState.QUEUED, JobState.SUCCEEDED)
    assert "ft-job-a1: cannot be judged" in caplog.text


def test_a_workflow_that_cannot_be_stopped_holds_up_no_other(begun: JobPath) -> None:
    publish(begun.engine, envelope("other", "globex"))
    begun.slots = begun.workflows.capacity = 2
    begun.dispatcher().round()
    begun.jobs.cancel("acme", "job")

    class Forbidden(Seen):
        def get(self, name: str) -> WorkflowStatus | None:
            return stands(Phase.RUNNING) if name == workflow_name("job", 1) else self.status

        def stop(self, name: str) -> None:
            raise WorkflowsUnavailable(name)

    with pytest.raises(WorkflowsUnavailable):
        begun.watching(Forbidden(stands(Phase.SUCCEEDED))).round()
    assert begun.state("other") is JobState.SUCCEEDED


def test_what_the_pods_told_stands_where_the_workflow_knows_only_that_a_step_failed(begun: JobPath) -> None:
    class Pods:
        def of(self, workflow: str) -> Failure | None:
            return Failure(Cause.NODE_LOST, f"the node of {workflow} is not ready")

    watcher = begun.watching(Seen(stands(Phase.FAILED, message="failed", exit_code=1)))
    watcher.causes = Pods()
    watcher.round()
    found = begun.jobs.find("job")
    assert found is not None
    assert found.error_code == "node_lost"
    assert "the node of ft-job-a1 is not ready" in (found.error or "")


def test_the_wait_for_room_is_known_and_costs_nothing(begun: JobPath) -> None:
    admitted = datetime.now(UTC) + timedelta(minutes=10)
    watcher = begun.watching(Seen(stands(Phase.RUNNING, admitted_at=admitted)))
    watcher.round()
    watcher.workflows = Seen(stands(Phase.SUCCEEDED, admitted_at=admitted))
    watcher.round()
    (entry,) = begun.ledger.of_job("acme", "job")
    assert 590 < entry.waited_seconds < 610
    assert (entry.is_final, entry.cost.amount) == (True, Decimal(0))
    assert "attempt 1 admitted" in begun.messages("job")


class Reported:
    """The status endpoint, and the token of the attempt that may use it."""

    def __init__(self, path: JobPath) -> None:
        workflow = path.folder.workflow("ft-job-a1")
        assert workflow is not None
        self.token = path.folder.token_file(workflow).read_text()
        self.client = TestClient(path.reporting())

    def send(self, body: Any = REPORT, *, path: str = STATUS, token: str | None = None) -> int:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        sent = {"content": body} if isinstance(body, bytes) else {"json": body}
        return self.client.post(path, headers=headers, **sent).status_code


@pytest.fixture
def reported(begun: JobPath) -> Reported:
    return Reported(begun)


def test_a_report_is_kept_with_the_job_and_in_its_history(begun: JobPath, reported: Reported) -> None:
    assert reported.send() == 200
    found = begun.jobs.find("job")
    assert found is not None
    assert found.numbers["loss"] == 1.5
    assert found.numbers["adapterDigest"] == "0" * 64
    event = begun.jobs.events("acme", "job", after=None, limit=9)[-1]
    assert (event.type, event.message) == ("metrics", "45 % of attempt 1")
    assert event.data["progressPercentage"] == 45


@pytest.mark.parametrize("path", [STATUS_PATH.format(job=job, attempt=n) for job, n in [("other", 1), ("job", 2)]])
def test_a_token_speaks_for_its_own_attempt_only(reported: Reported, path: str) -> None:
    assert reported.send(path=path) == 403


def test_another_or_no_token_is_refused(reported: Reported) -> None:
    assert reported.send(token="x") == 403
    assert reported.client.post(STATUS, json=REPORT).status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"\xff", 400),
        ({}, 400),
        ({"trainerStatus": {"progressPercentage": 101}}, 400),
        ({"trainerStatus": {"metrics": [{"name": "loss"}]}}, 400),
        ({"trainerStatus": {"metrics": [{"name": "a\u0000b", "value": 1}]}}, 400),
        ({"trainerStatus": {"metrics": [{"name": "a", "value": "\u0000"}]}}, 400),
        (b'{"trainerStatus": {"metrics": [{"name": "a", "value": "\\ud800"}]}}', 400),
        (b" " * (MOST_BYTES + 1), 413),
        ({"trainerStatus": {"new": 1}}, 200),
    ],
)
def test_a_report_is_read_strictly_where_it_is_ours(reported: Reported, body: Any, status: int) -> None:
    assert reported.send(body) == status


@pytest.mark.parametrize("value", ["1e999", "nan", "inf", float("1e308") * 1.0])
def test_a_figure_that_json_has_no_number_for_is_kept_as_text(begun: JobPath, reported: Reported, value: Any) -> None:
    assert reported.send({"trainerStatus": {"metrics": [{"name": "loss", "value": value}]}}) == 200
    found = begun.jobs.find("job")
    assert found is not None
    assert found.numbers == {"loss": value}


def test_ever_new_names_and_ever_more_reports_fill_no_row_and_no_store(begun: JobPath, reported: Reported) -> None:
    answers = [
        reported.send({"trainerStatus": {"metrics": [{"name": f"m{n}-{k}", "value": 1} for k in range(256)]}})
        for n in range(int(BURST) + 5)
    ]
    found = begun.jobs.find("job")
    assert found is not None
    assert len(found.numbers) == MOST_NUMBERS
    assert answers[: int(BURST)] == [200] * int(BURST)
    assert 429 in answers


def test_a_checkpoint_and_what_was_used_are_kept_beside_the_job(begun: JobPath, reported: Reported) -> None:
    figures = {
        "checkpointStep": "30",
        "step": "30",
        "loss": "1.5",
        "phase": "train",
        "cpuSeconds": "7200",
        "gpuSeconds": 0,
    }
    body = {"trainerStatus": {"metrics": [{"name": name, "value": value} for name, value in figures.items()]}}
    assert (reported.send(body), reported.send(body)) == (200, 200)
    (checkpoint,) = Checkpoints(begun.engine).list("acme", "job", after=None, limit=9)
    assert (checkpoint.step, checkpoint.attempt, checkpoint.metrics) == (30, 1, {"step": 30, "loss": 1.5})
    (entry,) = begun.ledger.of_job("acme", "job")
    assert (entry.usage.cpu_seconds, entry.cost.amount, entry.is_final) == (7200, Decimal("0.08"), False)


def test_what_was_used_never_becomes_less_and_is_settled_at_the_end(begun: JobPath, reported: Reported) -> None:
    for seconds in ("3600", "1800", "-1", "1e999"):
        assert reported.send({"trainerStatus": {"metrics": [{"name": "cpuSeconds", "value": seconds}]}}) == 200
    begun.watching(Seen(stands(Phase.FAILED, exit_code=1))).round()
    (entry,) = begun.ledger.of_job("acme", "job")
    assert (entry.usage.cpu_seconds, entry.cost.amount, entry.is_final) == (3600, Decimal("0.04"), True)


def test_a_report_after_the_end_changes_nothing(begun: JobPath, reported: Reported) -> None:
    begun.jobs.cancel("acme", "job")
    before = begun.jobs.find("job")
    assert reported.send() == 200
    assert begun.jobs.find("job") == before


def test_the_watcher_dies_with_nothing_in_its_memory(begun: JobPath, tmp_path: Path) -> None:
    begun.run(begun.controller(), until=lambda: begun.workflows.list()[0].phase.is_final)
    again = JobPath(tmp_path / "home")
    again.watcher.round()
    assert again.state("job") is JobState.SUCCEEDED
    again.engine.dispose()
