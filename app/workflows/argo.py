"""What Argo and Kueue write about a workflow, as our words. Pure; a body that makes no sense reads as little known."""

import base64
import gzip
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.jobs.causes import Cause
from app.workflows.manifest import REQUEST_HASH
from app.workflows.workflow import Phase, WorkflowStatus
from trainer.contract.steps import PIPELINE, SEARCH, TRIAL

STEPS = frozenset(step.name for step in (*PIPELINE, SEARCH, TRIAL))
_PHASES = {
    "Running": Phase.RUNNING,
    "Succeeded": Phase.SUCCEEDED,
    "Failed": Phase.FAILED,
    "Error": Phase.FAILED,  # of Argo itself: no such template, no right to make a pod
}
_EXIT_CODE = re.compile(r"exit code (\d{1,3})")
_CARRIED = re.compile(r"(?P<workflow>.+-a\d+)-(?:t\d+|[a-z]+)")  # name of what a GPU step makes


@dataclass(frozen=True)
class Seen:
    """A Workflow as far as we keep it."""

    namespace: str
    status: WorkflowStatus
    request_hash: str | None
    created_at: str


@dataclass(frozen=True)
class Admission:
    """When Kueue let run what a GPU step of the workflow made."""

    workflow: str
    at: datetime


def seen(body: Mapping[str, Any]) -> Seen:
    metadata = body["metadata"]
    found = metadata.get("annotations", {}).get(REQUEST_HASH)
    return Seen(metadata["namespace"], status_of(body), found, str(metadata.get("creationTimestamp", "")))


def status_of(body: Mapping[str, Any]) -> WorkflowStatus:
    """Where the Workflow stands."""
    status = body.get("status") or {}
    phase = _PHASES.get(status.get("phase") or "", Phase.PENDING)
    nodes = [node for node in _nodes(status) if node.get("templateName") in STEPS]
    current = max(nodes, key=_began, default=None)
    told, code = _failure(nodes, str(status.get("message") or ""), phase=phase)
    return WorkflowStatus(
        name=body["metadata"]["name"],
        phase=phase,
        step=str(current["templateName"]) if current and phase is not Phase.PENDING else None,
        exit_code=code,
        message=told if phase is not Phase.SUCCEEDED and told else None,
        cause=Cause.STOPPED if phase is Phase.FAILED and (body.get("spec") or {}).get("shutdown") else None,
        started_at=_moment(status.get("startedAt")),
        finished_at=_moment(status.get("finishedAt")),
    )


def admission(body: Mapping[str, Any]) -> Admission | None:
    """Of a Kueue Workload, whose owner is named after the workflow and the step. None: it waits, or is none of ours."""
    conditions = (body.get("status") or {}).get("conditions") or ()
    at = next((each.get("lastTransitionTime") for each in conditions if _is_true(each, "Admitted")), None)
    owner = next((_CARRIED.fullmatch(each["name"]) for each in body["metadata"].get("ownerReferences") or ()), None)
    moment = _moment(at)
    return Admission(owner["workflow"], moment) if owner and moment else None


def _failure(nodes: Iterable[Mapping[str, Any]], message: str, *, phase: Phase) -> tuple[str, int | None]:
    """What the newest failed or stuck node says, and its exit code; the workflow's own message where none says more."""
    stuck = ("Failed", "Error") if phase.is_final else ("Pending",)
    found = [node for node in nodes if node.get("phase") in stuck and node.get("message")]
    # a node of type Retry only repeats its last child
    node = max(found, key=lambda each: (each.get("type") == "Pod", _began(each)), default=None)
    if node is None:
        return message, None
    text = str(node["message"])
    code = (node.get("outputs") or {}).get("exitCode") or next(iter(_EXIT_CODE.findall(text)), None)
    return text, int(str(code)) if str(code).isdecimal() else None


def _nodes(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Argo compresses nodes once a Workflow would be too large for etcd."""
    nodes = status.get("nodes")
    if not nodes and (packed := status.get("compressedNodes")):
        try:
            nodes = json.loads(gzip.decompress(base64.b64decode(packed)))
        except (ValueError, OSError):
            nodes = None
    return [dict(node) for node in (nodes or {}).values()]


def _began(node: Mapping[str, Any]) -> str:
    """RFC 3339 in UTC sorts as text; a node that waits has no beginning yet, and is the newest."""
    return str(node.get("startedAt") or "~")


def _is_true(condition: Mapping[str, Any], kind: str) -> bool:
    return condition.get("type") == kind and condition.get("status") == "True"


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
