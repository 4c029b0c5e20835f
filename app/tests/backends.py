"""Where workflows may run, behind one face for tests: files, a stand-in for the Kubernetes API, and the real one."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import httpx

from app.apiserver import ApiServer
from app.contract.directory import TenantEntry
from app.contract.job import JobEnvelope
from app.jobs.plan import parameters
from app.kubeconfig import Access
from app.tests.cast import tenant_entry
from app.tests.local import STEPS, envelope
from app.tests.stub_apiserver import Cluster
from app.workflows.folder import WorkflowsFolder
from app.workflows.kubernetes import KubernetesWorkflows, Watched
from app.workflows.local import LocalWorkflows
from app.workflows.manifest import workflows_path
from app.workflows.workflow import Phase, Workflows

SECONDS = 10.0  # a bound against hanging
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TENANTS = {tenant: tenant_entry(tenant) for tenant in ("acme", "globex")}


@dataclass(frozen=True)
class OneJob:
    envelope: JobEnvelope


@dataclass(frozen=True)
class OneAttempt:
    job: OneJob
    number: int = 1
    slot: int | None = None


def asked(job: str, tenant: str = "acme", *, slot: int | None = None) -> dict[str, str]:
    """Parameters as the dispatcher gives them."""
    return parameters(OneAttempt(OneJob(envelope(job, tenant)), slot=slot), traceparent=TRACE)


@dataclass
class Directory:
    """A tenant directory that a test changes."""

    entries: dict[str, TenantEntry] = field(default_factory=lambda: dict(TENANTS))

    def tenant(self, tenant: str) -> TenantEntry | None:
        return self.entries.get(tenant)

    def tenants(self) -> tuple[TenantEntry, ...]:
        return tuple(self.entries.values())


class Backend(Protocol):
    """A place for workflows whose controller the test plays."""

    @property
    def workflows(self) -> Workflows: ...

    def create(self, name: str, tenant: str = "acme", *, slot: int | None = None) -> None: ...

    def runs(self, name: str) -> None:
        """Step prepare has begun."""

    def ends(self, name: str, *, exit_code: int, said: str = "") -> None:
        """Step prepare was the last."""

    def remove(self, name: str) -> None:
        """Somebody deletes the workflow."""

    def is_stopping(self, name: str) -> bool: ...

    def parameters(self, name: str) -> dict[str, str]: ...

    def token(self, name: str) -> str:
        """What a step of the workflow presents."""

    def fail(self) -> None:
        """Nothing is to be had any more."""

    def wait(self, condition: Callable[[], bool]) -> bool:
        """Whether the condition comes true in time."""


def job_of(name: str) -> str:
    return name.removeprefix("ft-").rpartition("-a")[0]


@dataclass
class LocalBackend:
    """LocalWorkflows over a folder."""

    home: Path

    def __post_init__(self) -> None:
        self.folder = WorkflowsFolder(self.home)
        self.workflows = LocalWorkflows(self.folder, slots=1, pipeline=STEPS)

    def create(self, name: str, tenant: str = "acme", *, slot: int | None = None) -> None:
        self.workflows.create(name, tenant=TENANTS[tenant], parameters=asked(job_of(name), tenant, slot=slot))

    def runs(self, name: str) -> None:
        self.folder.keep(name, self.folder.progress(name).begun(NOW))

    def ends(self, name: str, *, exit_code: int, said: str = "") -> None:
        begun = self.folder.progress(name).begun(NOW)
        succeeded = begun.model_copy(update={"phase": Phase.SUCCEEDED, "finished_at": NOW, "exit_code": 0})
        self.folder.keep(name, begun.failed(said, at=NOW, exit_code=exit_code) if exit_code else succeeded)

    def remove(self, name: str) -> None:
        (self.home / "workflows" / name / "workflow.json").unlink()

    def is_stopping(self, name: str) -> bool:
        return self.folder.is_to_stop(name)

    def parameters(self, name: str) -> dict[str, str]:
        found = self.folder.workflow(name)
        assert found is not None
        return found.parameters

    def token(self, name: str) -> str:
        found = self.folder.workflow(name)
        assert found is not None
        return self.folder.token_file(found).read_text()

    def fail(self) -> None:
        (self.home / "workflows").rename(self.home / "away")
        (self.home / "workflows").write_text("a file where the folder belongs")

    def wait(self, condition: Callable[[], bool]) -> bool:
        return condition()


class Admin(Protocol):
    """Rights on a cluster that its controllers have."""

    def patch(self, path: str, body: dict[str, Any]) -> None: ...

    def delete(self, path: str) -> None: ...

    def token(self, namespace: str, account: str, *, pod: str) -> str:
        """As the kubelet mounts it into that pod."""


@dataclass
class StubAdmin:
    """Of the stand-in."""

    cluster: Cluster

    def patch(self, path: str, body: dict[str, Any]) -> None:
        folder, _, name = path.rpartition("/")
        self.cluster.put(folder, {**self.cluster.objects[folder][name], **body})

    def delete(self, path: str) -> None:
        folder, _, name = path.rpartition("/")
        self.cluster.delete(folder, name)

    def token(self, namespace: str, account: str, *, pod: str) -> str:
        token = f"{namespace}/{account}/{pod}"
        self.cluster.tokens[token] = (f"system:serviceaccount:{namespace}:{account}", pod)
        return token


_CONTAINER = {
    "name": "main",
    "image": "registry.tenon.example/none",
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}
_RESTRICTED = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [_CONTAINER],
}


@dataclass
class RealAdmin:
    """Of a kube-apiserver, as `system:masters`."""

    http: httpx.Client

    def patch(self, path: str, body: dict[str, Any]) -> None:
        headers = {"Content-Type": "application/merge-patch+json"}
        self.http.patch(path, content=json.dumps(body), headers=headers).raise_for_status()

    def delete(self, path: str) -> None:
        self.http.delete(path).raise_for_status()

    def token(self, namespace: str, account: str, *, pod: str) -> str:
        pods = f"/api/v1/namespaces/{namespace}/pods"
        body = {"metadata": {"name": pod}, "spec": {"serviceAccountName": account, **_RESTRICTED}}
        made = self.http.post(pods, json=body).raise_for_status().json()
        bound = {"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": made["metadata"]["uid"]}
        spec = {"audiences": ["finetune-status"], "expirationSeconds": 3600, "boundObjectRef": bound}
        asked_for = self.http.post(
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", json={"spec": spec}
        )
        return str(asked_for.raise_for_status().json()["status"]["token"])


class ClusterBackend:
    """KubernetesWorkflows: the dispatcher's, which makes, and the watcher's, which looks."""

    def __init__(self, making: Access, looking: Access, admin: Admin) -> None:
        self.admin, self.directory = admin, Directory()
        self.owners: dict[str, str] = {}
        self.makes, self.looks = ApiServer(making), ApiServer(looking)
        self.watched = Watched(self.looks, self.directory)
        given = {"tenants": self.directory, "tenant_of": self.owners.get}
        self.making = KubernetesWorkflows(self.makes, **given)  # type: ignore[arg-type]
        self.workflows = KubernetesWorkflows(self.looks, watched=self.watched, **given)  # type: ignore[arg-type]
        # the watcher's account may make and stop nothing, so the one face has both
        self.workflows.create = self.making.create  # type: ignore[method-assign]
        self.workflows.stop = self.making.stop  # type: ignore[method-assign]

    def close(self) -> None:
        self.watched.close()
        self.makes.close()
        self.looks.close()

    def create(self, name: str, tenant: str = "acme", *, slot: int | None = None) -> None:
        self.owners[name] = tenant
        values = asked(job_of(name), tenant, slot=slot)
        self.making.create(name, tenant=TENANTS[tenant], parameters=values)

    def path(self, name: str) -> str:
        return f"{workflows_path(TENANTS[self.owners[name]].training_namespace)}/{name}"

    def body(self, name: str) -> dict[str, Any]:
        return self.makes.request("GET", self.path(name))

    def runs(self, name: str) -> None:
        self._status(name, "Running", {"phase": "Running"})

    def ends(self, name: str, *, exit_code: int, said: str = "") -> None:
        phase = "Failed" if exit_code else "Succeeded"
        self._status(name, phase, {"phase": phase, "message": said, "outputs": {"exitCode": str(exit_code)}})

    def remove(self, name: str) -> None:
        self.admin.delete(self.path(name))

    def is_stopping(self, name: str) -> bool:
        return bool(self.body(name)["spec"].get("shutdown") == "Stop")

    def parameters(self, name: str) -> dict[str, str]:
        return {each["name"]: each["value"] for each in self.body(name)["spec"]["arguments"]["parameters"]}

    def token(self, name: str) -> str:
        return self.admin.token(f"{self.owners[name]}-train", "step", pod=f"{name}-prepare-123")

    def fail(self) -> None:
        for api in (self.makes, self.looks):
            api._http.base_url = httpx.URL("http://127.0.0.1:1")

    def wait(self, condition: Callable[[], bool]) -> bool:
        return self.watched.wait(condition, seconds=SECONDS)

    def _status(self, name: str, phase: str, node: dict[str, Any]) -> None:
        at = {"startedAt": "2026-01-01T00:00:00Z"}
        ended = {} if phase == "Running" else {"finishedAt": "2026-01-01T00:00:00Z"}
        about = {"id": f"{name}-1", "name": f"{name}.prepare", "displayName": "prepare", "templateName": "prepare"}
        status = {
            "phase": phase,
            "nodes": {f"{name}-1": {**about, "type": "Pod", **at, **ended, **node}},
            **at,
            **ended,
        }
        self.admin.patch(self.path(name), {"status": status})
