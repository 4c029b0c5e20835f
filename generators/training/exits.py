"""What the orchestrators make of a step's exit code; derived from trainer/contract/steps.py, never written out."""

from typing import Any

from trainer.contract.steps import Exit, Step

RESUMED = tuple(int(code) for code in Exit if code.is_resumed)
FINAL = tuple(int(code) for code in Exit if code not in {Exit.DONE, Exit.FAILED} and not code.is_resumed)
MOST_RESUMES = 20  # of a plain container; a JobSet's are bounded by its deadline


def pod_failure_policy(container: str) -> dict[str, Any]:
    """Of a Job: final codes end it, stopped and disrupted pods are made anew without counting as a failure."""
    return {
        "rules": [
            {"action": "FailJob", "onExitCodes": _codes(container, FINAL)},
            {"action": "Ignore", "onExitCodes": _codes(container, RESUMED)},
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        ]
    }


def jobset_failure_policy(step: Step) -> dict[str, Any]:
    """Of a JobSet: any other code restarts all ranks together, a bounded number of times."""
    final = {"name": "final", "action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}
    return {"maxRestarts": step.retries, "restartStrategy": "Recreate", "rules": [final]}


def retry_expression(step: Step) -> str:
    """Of an Argo retryStrategy: `lastRetry.exitCode` and `retries` are strings; a lost pod has code -1."""
    code = "asInt(lastRetry.exitCode)"
    failed = f"{code} not in {[*FINAL]} && asInt(retries) < {step.retries}"
    return f"{code} in {[*RESUMED]} || ({failed})"


def _codes(container: str, codes: tuple[int, ...]) -> dict[str, Any]:
    return {"containerName": container, "operator": "In", "values": list(codes)}
