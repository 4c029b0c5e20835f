"""What the orchestrators make of a step's exit code; derived from trainer/contract/steps.py, never written out."""

from typing import Any

from trainer.contract.steps import Exit, Step

RESUMED = tuple(int(code) for code in Exit if code.is_resumed)
FINAL = tuple(int(code) for code in Exit if code not in {Exit.DONE, Exit.FAILED} and not code.is_resumed)
MOST_RESUMES = 20  # of a plain container; a JobSet's are bounded by its deadline
_DISRUPTED = "DisruptionTarget"  # condition of a pod that was evicted or preempted


def pod_failure_policy(container: str, *, alone: bool) -> dict[str, Any]:
    """Of a Job: what a pod's end means.

    A final code ends the Job. A rank that is alone is made anew when it was stopped or disrupted, without counting as a
    failure. One of several is not: its peers hang or fail without it, so its end is the Job's, and the JobSet tells by
    the reason how all of them go on.
    """
    resumed = "Ignore" if alone else "FailJob"
    return {
        "rules": [
            {"action": "FailJob", "onExitCodes": _codes(container, FINAL)},
            {"action": resumed, "onExitCodes": _codes(container, RESUMED)},
            {"action": resumed, "onPodConditions": [{"type": _DISRUPTED, "status": "True"}]},
        ]
    }


def jobset_failure_policy(step: Step, *, alone: bool) -> dict[str, Any]:
    """Of a JobSet: ranks start again together; without bound when they were stopped, else a bounded number of times.

    The rules are tried in order. What a Job's failure says is Kubernetes' own text (pkg/controller/job/
    pod_failure_policy.go): `... failed with exit code 75 matching ...`, `Pod ... has condition DisruptionTarget ...`.
    """
    codes = "|".join(str(code) for code in RESUMED)
    stopped = {
        "name": "stopped",
        "action": "RestartJobSetAndIgnoreMaxRestarts",
        "onJobFailureReasons": ["PodFailurePolicy"],
        "onJobFailureMessagePatterns": [f" exit code ({codes}) ", f" condition {_DISRUPTED} "],
    }
    final = {"name": "final", "action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy", "DeadlineExceeded"]}
    return {
        "maxRestarts": step.retries,
        # of several ranks none may meet one of the time before
        "restartStrategy": "Recreate" if alone else "BlockingRecreate",
        "rules": [final] if alone else [stopped, final],
    }


def retry_expression(step: Step) -> str:
    """Of an Argo retryStrategy: `lastRetry.exitCode` and `retries` are strings; a lost pod has code -1."""
    code = "asInt(lastRetry.exitCode)"
    failed = f"{code} not in {[*FINAL]} && asInt(retries) < {step.retries}"
    return f"{code} in {[*RESUMED]} || ({failed})"


def _codes(container: str, codes: tuple[int, ...]) -> dict[str, Any]:
    return {"containerName": container, "operator": "In", "values": list(codes)}
