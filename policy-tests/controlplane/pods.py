"""Plays the kubelet: every pod runs and ends as the test has it. What Argo's executor does for a resource template is
done here with a token of the pod's own account, so that the rendered rights and admission answer for it.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import yaml

from controlplane.api import Api

EVERY_SECONDS = 0.2
_MERGE = {"Content-Type": "application/merge-patch+json"}
_AT = "2026-01-01T00:00:00Z"
_JOBSETS = "/apis/jobset.x-k8s.io/v1alpha2/namespaces/{namespace}/jobsets"
_SETTLED = {"Completed": 0, "Failed": 1}


@dataclass
class Ending:
    """How a step's container ends. None: it runs until its pod is deleted."""

    exit_code: int | None = 0
    message: str = ""


@dataclass
class Pods:
    """endings: by step; a step that is not named is done. ran: steps whose container ran, in order."""

    api: Api
    endings: Mapping[str, Ending] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _made: set[str] = field(default_factory=set)  # pods whose object was made

    def look(self) -> None:
        """Bring each pod as far as it goes."""
        for pod in self.api.http.get("/api/v1/pods").raise_for_status().json()["items"]:
            if pod["status"].get("phase") in ("Pending", "Running") and "deletionTimestamp" not in pod["metadata"]:
                self._tend(pod)

    def _tend(self, pod: dict[str, Any]) -> None:
        template = _template(pod)
        if template is not None and "resource" in template:
            self._carry(pod, template)
            return
        step = template["name"] if template else _step(pod)
        ending = self.endings.get(step, Ending())
        if pod["status"]["phase"] == "Pending":
            self.ran.append(step)
            self._say(pod, Ending(None))
        elif ending.exit_code is not None:
            self._say(pod, ending)

    def _carry(self, pod: dict[str, Any], template: dict[str, Any]) -> None:
        """Create or delete what the template says, and wait for the outcome of what was created."""
        resource, name = template["resource"], pod["metadata"]["name"]
        namespace = pod["metadata"]["namespace"]
        path = _JOBSETS.format(namespace=namespace)
        if resource["action"] == "delete":
            selector = next(flag for flag in resource["flags"] if flag.startswith("--selector=")).split("=", 1)[1]
            found = self._as(pod).get(path, params={"labelSelector": selector}).raise_for_status().json()["items"]
            for each in found:
                self._as(pod).delete(f"{path}/{each['metadata']['name']}").raise_for_status()
            self._say(pod, Ending())
            return
        child = yaml.safe_load(resource["manifest"])
        if name not in self._made:
            self._made.add(name)
            if resource.get("setOwnerReference"):
                child["metadata"]["ownerReferences"] = [
                    {key: value for key, value in owner.items() if key != "controller"}
                    for owner in pod["metadata"]["ownerReferences"]
                ]
            answer = self._as(pod).post(path, json=child)
            if not answer.is_success:
                self.faults.append(answer.text)
            self._say(pod, Ending(None) if answer.is_success else Ending(1, answer.json()["message"]))
            return
        answer = self.api.http.get(f"{path}/{child['metadata']['name']}")
        state = answer.json().get("status", {}).get("terminalState") if answer.is_success else "Failed"
        if state in _SETTLED:
            self._say(pod, Ending(_SETTLED[state], f"JobSet {state}" if _SETTLED[state] else ""))

    def _as(self, pod: dict[str, Any]) -> httpx.Client:
        """The server as the pod's executor finds it: Argo mounts `executor`'s token into resource pods."""
        account = pod["spec"].get("serviceAccountName", "default")
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/serviceaccounts/{account}/token"
        token = self.api.http.post(path, json={"spec": {}}).raise_for_status().json()["status"]["token"]
        client = self.api.http
        return _Asked(client, token)  # type: ignore[return-value]

    def _say(self, pod: dict[str, Any], ending: Ending) -> None:
        """Write the status that the kubelet would write."""
        ended = ending.exit_code is not None
        phase = "Running" if not ended else "Failed" if ending.exit_code else "Succeeded"
        state: dict[str, Any] = {"running": {"startedAt": _AT}}
        if ended:
            reason = "Error" if ending.exit_code else "Completed"
            about = {"exitCode": ending.exit_code, "reason": reason, "message": ending.message}
            state = {"terminated": {**about, "startedAt": _AT, "finishedAt": _AT}}
        done = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": _AT, "finishedAt": _AT}}
        statuses = [
            {**_known(each), "ready": not ended, "state": done if each["name"] == "wait" and ended else state}
            for each in pod["spec"]["containers"]
        ]
        first = [{**_known(each), "ready": True, "state": done} for each in pod["spec"].get("initContainers", ())]
        status: dict[str, Any] = {"phase": phase, "startTime": _AT, "containerStatuses": statuses}
        if first:
            status["initContainerStatuses"] = first
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}/status"
        self.api.http.patch(path, json={"status": status}, headers=_MERGE)


class _Asked:
    """Requests with another token over the same connections."""

    def __init__(self, client: httpx.Client, token: str) -> None:
        self._client, self._headers = client, {"Authorization": f"Bearer {token}"}

    def __getattr__(self, method: str) -> Any:
        send = getattr(self._client, method)
        return lambda path, **more: send(path, headers=self._headers, **more)


def _known(container: dict[str, Any]) -> dict[str, Any]:
    return {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}


def _template(pod: dict[str, Any]) -> dict[str, Any] | None:
    """The template that a pod of Argo's carries, with its parameters filled in."""
    for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
        for variable in container.get("env", ()):
            if variable["name"] == "ARGO_TEMPLATE":
                return dict(json.loads(variable["value"]))
    return None


def _step(pod: dict[str, Any]) -> str:
    """Of a rank's pod: the last part of its JobSet's name."""
    return str(pod["metadata"]["labels"].get("jobset.sigs.k8s.io/jobset-name", "")).rpartition("-")[2]


@contextmanager
def kubelet(pods: Pods) -> Iterator[None]:
    """In a thread of its own until the `with` ends."""
    stopped = threading.Event()

    def play() -> None:
        while not stopped.wait(EVERY_SECONDS):
            try:
                pods.look()
            except httpx.HTTPError as error:  # a pod that is gone by now needs no status
                pods.faults.append(str(error))

    thread = threading.Thread(target=play, name="kubelet")
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
