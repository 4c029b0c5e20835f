"""Why attempts fail, in words: from exit codes, from what was said, from pods and JobSets."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.jobs.causes import MOST_CHARACTERS, Cause, failure, of_jobset, of_pod, words

MEMORY = "The node was low on resource: memory."


@pytest.mark.parametrize(
    ("message", "exit_code", "cause"),
    [
        ("rows.jsonl:3: no JSON", 2, Cause.BAD_INPUT),
        ("OOMKilled (exit code 137)", 137, Cause.OUT_OF_MEMORY),
        (None, 137, Cause.OUT_OF_MEMORY),
        ("torch.OutOfMemoryError: CUDA out of memory", 1, Cause.OUT_OF_MEMORY),
        ('ImagePullBackOff: Back-off pulling image "trainer@sha256:0"', None, Cause.IMAGE),
        ("The node was low on resource: Evicted", None, Cause.DISRUPTED),
        ("pod deleted", None, Cause.DISRUPTED),
        ("NodeLost: node gpu-7 is unreachable", None, Cause.NODE_LOST),
        ("Pod was active on the node longer than the specified deadline", None, Cause.DEADLINE),
        ("Max duration limit exceeded", None, Cause.DEADLINE),
        ("step train was stopped 6 times without a new checkpoint; asked to stop", 143, Cause.NO_CHECKPOINT),
        ('pods "x" is forbidden: exceeded quota: training, requested: pods=1', None, Cause.QUOTA),
        ('workflowtemplates.argoproj.io "finetune-0123abcd" not found', None, Cause.TEMPLATE),
        ("Stopped with strategy 'Stop'", None, Cause.STOPPED),
        ("the disk is full", 1, Cause.STEP),
        (None, None, Cause.STEP),
    ],
)
def test_a_failure_has_a_code_words_and_a_remedy(message: str | None, exit_code: int | None, cause: Cause) -> None:
    found = failure(message, exit_code=exit_code)
    assert found.cause is cause
    text = found.text(step="train")
    assert (message or "") in text
    assert cause is Cause.BAD_INPUT or ("step train" in text and "; " in text)


@pytest.mark.parametrize("cause", Cause)
def test_every_code_has_words_and_a_remedy_even_where_nothing_was_said(cause: Cause) -> None:
    text = failure(None, exit_code=None, cause=cause).text(step=None)
    assert text.startswith("the job ")
    assert text.partition("; ")[2]


def test_bad_input_is_told_by_the_steps_own_last_line_alone() -> None:
    log = 'Error (exit code 2): 2 rows\nrows.jsonl:3: no JSON; mend the row\n{"level":"INFO","argo":true}\n'
    assert failure(log, exit_code=2).text(step="prepare") == "rows.jsonl:3: no JSON; mend the row"


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "ft-job-a1-train-rank-0-0-x"}, "status": status}


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return pod(containerStatuses=[{"state": {"terminated": {"exitCode": code, "reason": reason, "message": message}}}])


def disrupted(reason: str) -> dict[str, Any]:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "was chosen"}
    return pod(conditions=[condition], containerStatuses=[{"state": {"terminated": {"exitCode": 143}}}])


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (ended(137, "OOMKilled"), Cause.OUT_OF_MEMORY),
        (ended(2, message="sequence of 9000 tokens; raise maxTokens"), Cause.BAD_INPUT),
        (ended(1, message="S3 does not answer"), Cause.STEP),
        (disrupted("PreemptionByScheduler"), Cause.DISRUPTED),
        (disrupted("DeletionByTaintManager"), Cause.NODE_LOST),
        (disrupted("a reason of tomorrow"), Cause.DISRUPTED),
        (pod(reason="Evicted", message=MEMORY), Cause.DISRUPTED),
        (pod(reason="DeadlineExceeded"), Cause.DEADLINE),
        (pod(containerStatuses=[{"state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}]), Cause.IMAGE),
        (pod(initContainerStatuses=[{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]), Cause.IMAGE),
    ],
)
def test_a_pod_tells_why_it_does_not_run(body: dict[str, Any], cause: Cause) -> None:
    found = of_pod(body)
    assert found is not None
    assert found.cause is cause


@pytest.mark.parametrize(
    "body",
    [
        {},
        pod(phase="Pending"),
        pod(containerStatuses=[{"state": {"running": {}}}]),
        pod(containerStatuses=[{"state": {"waiting": {"reason": "ContainerCreating"}}}]),
        ended(0, "Completed"),
    ],
)
def test_a_pod_with_nothing_wrong_tells_nothing(body: dict[str, Any]) -> None:
    assert of_pod(body) is None


def test_a_jobset_tells_the_exit_code_that_ended_it() -> None:
    message = "jobset failed due to job: container trainer for pod a/b failed with exit code 2 matching FailJob rule"
    failed = {
        "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "FailJobSet", "message": message}]}
    }
    found = of_jobset(failed)
    assert found is not None
    assert (found.cause, found.exit_code) == (Cause.BAD_INPUT, 2)
    assert of_jobset({"status": {"conditions": [{"type": "Completed", "status": "True"}]}}) is None


@settings(max_examples=30)
@given(st.text(max_size=20), st.integers(0, 200), st.one_of(st.none(), st.integers(0, 255)))
def test_whatever_is_said_makes_one_bounded_line(said: str, times: int, exit_code: int | None) -> None:
    message = said * times
    assert len(words(message)) <= MOST_CHARACTERS
    assert len(failure(message, exit_code=exit_code).text(step="train").splitlines()) <= 1
