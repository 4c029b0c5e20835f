"""Why an attempt failed: a code for programs, and for people what happened and what to do about it. Pure.

Sources: exit codes, trainer/contract/steps.py; reasons of containers and pods, Kubernetes' pod lifecycle
(`OOMKilled`, `ErrImagePull`, `Evicted`, condition `DisruptionTarget`, kubelet and node controller's reasons); texts of
nodes and workflows, argo-workflows 4.1 (workflow/controller/operator.go).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from trainer.contract.steps import Exit

KILLED_BY_FORCE = 137  # 128 + SIGKILL: what the kernel does to a process that takes more memory than there is
MOST_CHARACTERS = 1000  # of what a step said


class Cause(StrEnum):
    """Codes of failures; a client may rely on them."""

    OUT_OF_MEMORY = "out_of_memory"
    IMAGE = "image_unavailable"
    DISRUPTED = "preempted"
    NODE_LOST = "node_lost"
    DEADLINE = "deadline_exceeded"
    BAD_INPUT = "invalid_input"
    NO_CHECKPOINT = "no_checkpoint"
    QUOTA = "quota_exceeded"
    TEMPLATE = "template_missing"
    GONE = "workflow_gone"
    STOPPED = "stopped"
    STEP = "step_failed"


_REMEDIES = {
    Cause.OUT_OF_MEMORY: "take a smaller base or shorter rows (hyperparameters.maxTokens), or another recipe",
    Cause.IMAGE: "nothing is wrong with the job; the platform's image or registry is, then submit it again",
    Cause.DISRUPTED: "resume or submit the job again; work of others had the right of way",
    Cause.NODE_LOST: "submit the job again; it goes on from its newest checkpoint where it is resumed",
    Cause.DEADLINE: "train fewer epochs or rows, or ask for more GPUs in the tenant file",
    Cause.BAD_INPUT: "mend what it names and submit the job again",
    Cause.NO_CHECKPOINT: "train with more frequent checkpoints, or where the job is stopped less often",
    Cause.QUOTA: "wait for other jobs of the tenant to end, or raise its quota in the tenant file",
    Cause.TEMPLATE: "the tenant's tree is not synced yet; submit the job again once it is",
    Cause.GONE: "submit the job again",
    Cause.STOPPED: "submit the job again",
    Cause.STEP: "the job's log tells more; submit the job again once it is mended",
}
_WORDS = {
    Cause.OUT_OF_MEMORY: "ran out of memory",
    Cause.IMAGE: "could not start: its image cannot be pulled",
    Cause.DISRUPTED: "was evicted or preempted",
    Cause.NODE_LOST: "was lost with its node",
    Cause.DEADLINE: "ran longer than it may",
    Cause.BAD_INPUT: "refused its input",
    Cause.NO_CHECKPOINT: "was stopped again and again without a new checkpoint",
    Cause.QUOTA: "found no room in the quota of its namespace",
    Cause.TEMPLATE: "has no workflow template",
    Cause.GONE: "is gone: its workflow was deleted",
    Cause.STOPPED: "was stopped",
    Cause.STEP: "failed",
}
# Of messages, tried in order; the first that is found decides.
_SAID: tuple[tuple[re.Pattern[str], Cause], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), cause)
    for pattern, cause in (
        (r"OOMKilled|out of memory|OutOfMemoryError|\bMemoryError\b", Cause.OUT_OF_MEMORY),
        (r"ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull", Cause.IMAGE),
        (r"without a new checkpoint", Cause.NO_CHECKPOINT),
        (r"exceeded quota", Cause.QUOTA),
        (r"workflowtemplates?\S* .*not found|no workflow template", Cause.TEMPLATE),
        (r"NodeLost|node .*(lost|not ready|unreachable)|NodeNotReady|imminent node shutdown", Cause.NODE_LOST),
        (r"DeadlineExceeded|longer than (the )?specified deadline|exceeded its deadline|Max duration", Cause.DEADLINE),
        (r"Evicted|Preempt|DisruptionTarget|pod deleted", Cause.DISRUPTED),
        (r"Stopped with strategy|stopped on request|shutdown", Cause.STOPPED),
    )
)
_DISRUPTIONS = {
    "DeletionByTaintManager": Cause.NODE_LOST,
    "DeletionByPodGC": Cause.NODE_LOST,
    "PreemptionByScheduler": Cause.DISRUPTED,
    "EvictionByEvictionAPI": Cause.DISRUPTED,
    "TerminationByKubelet": Cause.DISRUPTED,
}


@dataclass(frozen=True)
class Failure:
    """Why something failed. `said`: the words of the component or of the step, `""` where there are none."""

    cause: Cause
    said: str = ""
    exit_code: int | None = None

    def text(self, *, step: str | None) -> str:
        """`step train ran out of memory (exit code 137): ...; take a smaller base ...`.

        Of bad input the step's own words alone: they name file, row and remedy.
        """
        if self.cause is Cause.BAD_INPUT and self.said:
            return self.said
        what = f"step {step}" if step else "the job"
        code = f" (exit code {self.exit_code})" if self.exit_code is not None else ""
        said = f": {self.said}" if self.said else ""
        return f"{what} {_WORDS[self.cause]}{code}{said}; {_REMEDIES[self.cause]}"


def failure(message: str | None, *, exit_code: int | None, cause: str | None = None) -> Failure:
    """What a workflow's failure means. cause: the code, where its place already knows it; message: what is said of it.

    A step's exit code counts more than words, but for a lack of memory, of a checkpoint and of time, which a step may
    say before it ends with any code.
    """
    said = words(message or "")
    known = Cause(cause) if cause in set(Cause) else None
    return Failure(known or _meant(message or "", exit_code), said, exit_code)


def of_pod(pod: Mapping[str, Any]) -> Failure | None:
    """Why a pod does not run or has ended; None while nothing is wrong with it."""
    status = pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            cause = _DISRUPTIONS.get(str(condition.get("reason")), Cause.DISRUPTED)
            return Failure(cause, words(str(condition.get("message") or "")))
    for state in _states(status):
        if (ended := state.get("terminated")) and ended.get("exitCode") != Exit.DONE:
            said = f"{ended.get('reason') or ''} {ended.get('message') or ''}"
            cause = _meant(said, ended.get("exitCode"))
            return Failure(cause, words(str(ended.get("message") or "")), ended.get("exitCode"))
        if (waiting := state.get("waiting")) and _meant(str(waiting.get("reason")), None) is Cause.IMAGE:
            return Failure(Cause.IMAGE, words(str(waiting.get("message") or "")))
    if reason := status.get("reason"):
        said = f"{reason}: {status.get('message') or ''}"
        return Failure(_meant(said, None), words(said))
    return None


def of_jobset(jobset: Mapping[str, Any]) -> Failure | None:
    """Why a JobSet failed, as far as it knows itself; None where it has not."""
    for condition in (jobset.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Failed" and condition.get("status") == "True":
            said = f"{condition.get('reason') or ''}: {condition.get('message') or ''}"
            code = re.search(r"exit code (\d+)", said)
            number = int(code[1]) if code else None
            return Failure(_meant(said, number), words(said), number)
    return None


def words(message: str) -> str:
    """The last thing that was said, on one line: what a step ends with is its reason.

    Argo's executor logs its own line after the step's, and the kubelet cuts the log where it likes.
    """
    lines = [line.strip() for line in message.splitlines()]
    kept = [line for line in lines if line and not re.search(r'argo=true|"argo": ?true', line)]
    return kept[-1][:MOST_CHARACTERS] if kept else ""


def _meant(message: str, exit_code: int | None) -> Cause:
    told = next((cause for pattern, cause in _SAID if pattern.search(message)), None)
    if exit_code == Exit.BAD_INPUT:
        return Cause.BAD_INPUT
    if told is not None:
        return told
    if exit_code == KILLED_BY_FORCE:
        return Cause.OUT_OF_MEMORY
    return Cause.STEP


def _states(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name in ("containerStatuses", "initContainerStatuses"):
        for container in status.get(name) or ():
            yield container.get("state") or {}
