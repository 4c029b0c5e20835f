"""The watcher: it decides outcomes; steps may report on their own job only."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.contract.internal import STATUS_PATH
from app.contract.job import JobState
from app.reporting import MOST_BYTES, Reporting
from app.tests.local import JobPath, envelope, publish

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
    ("script", "state", "error"),
    [
        ("pass", JobState.SUCCEEDED, None),
        ("import sys; print('working'); sys.exit('rows.jsonl:3: no JSON')", JobState.FAILED, "rows.jsonl:3: no JSON"),
    ],
)
def test_a_job_ends_as_its_workflow_does(begun: JobPath, script: str, state: JobState, error: str | None) -> None:
    begun.script = script
    begun.run(begun.controller(), until=lambda: begun.state("job").is_final)
    found = begun.jobs.find("job")
    assert found is not None
    assert (found.state, found.error, found.finished_at is not None) == (state, error, True)
    assert begun.attempts.live() == {}


@pytest.mark.requirement("A11")
def test_the_history_tells_each_step_and_the_end(begun: JobPath) -> None:
    begun.run(begun.controller(), until=lambda: begun.state("job").is_final)
    told = begun.messages("job")
    assert told[:3] == ["queued", "attempt 1 begun", "step prepare of attempt 1"]
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
    assert begun.messages("job")[-1] == "attempt 1 failed: workflow ft-job-a1 is gone; submit the job again"


class Reported:
    """The status endpoint, and the token of the attempt that may use it."""

    def __init__(self, path: JobPath) -> None:
        workflow = path.folder.workflow("ft-job-a1")
        assert workflow is not None
        self.token = path.folder.token_file(workflow).read_text()
        self.client = TestClient(Reporting(attempts=path.attempts, workflows=path.workflows).app())

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
        (b" " * (MOST_BYTES + 1), 413),
        ({"trainerStatus": {"new": 1}}, 200),
    ],
)
def test_a_report_is_read_strictly_where_it_is_ours(reported: Reported, body: Any, status: int) -> None:
    assert reported.send(body) == status


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
