"""Workflows of Argo in the tenants' namespaces, over the Kubernetes API.

A name is taken once: the server refuses a second creation, and a hash tells the same attempt from another one. What is
looked at often comes from a mirror; that a workflow is absent is asked of the server itself, because a mirror is late.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import httpx

from app.apiserver import MERGE_PATCH, ApiServer, ApiServerUnavailable, RefusedError
from app.contract.directory import TenantEntry
from app.contract.internal import STATUS_AUDIENCE
from app.mirror import Mirror
from app.workflows.argo import Admission, Seen, admission, seen
from app.workflows.manifest import JOB_LABEL, request_hash, workflow, workflows_path, workloads_path
from app.workflows.workflow import AlreadyExists, WorkflowRefusedError, WorkflowStatus, WorkflowsUnavailable

CAPACITY = 5_000  # live workflows of all tenants; Kueue and the tenants' caps bind long before
REVIEWED_SECONDS = 60.0  # how long a token that was reviewed is believed
MOST_REVIEWED = 10_000
ACCOUNTS = ("step", "trainer")  # that steps run as; with isolation `hard` also trainer-<slot>
COLLISION = "workflow_collision"


class Tenants(Protocol):
    """The tenant directory, as far as workflows need it."""

    def tenant(self, tenant: str) -> TenantEntry | None: ...

    def tenants(self) -> tuple[TenantEntry, ...]: ...


class Watched:
    """The Workflows of all tenants' namespaces, and when Kueue admitted what they made."""

    def __init__(self, api: ApiServer, tenants: Tenants) -> None:
        self._tenants = tenants
        self._workflows = Mirror[Seen](api.access, seen, selector=JOB_LABEL)
        self._workloads = Mirror[Admission](api.access, admission)

    def refresh(self) -> None:
        """Follow the namespaces of exactly the tenants that there are."""
        namespaces = [tenant.training_namespace for tenant in self._tenants.tenants()]
        self._workflows.follow(map(workflows_path, namespaces))
        self._workloads.follow(map(workloads_path, namespaces))

    def get(self, name: str) -> Seen | None:
        return self._workflows.get(name)

    def all(self) -> list[Seen]:
        return self._workflows.all()

    def admissions(self) -> dict[str, Admission]:
        """The first of each workflow."""
        found: dict[str, Admission] = {}
        for each in sorted(self._workloads.all(), key=lambda admitted: admitted.at, reverse=True):
            found[each.workflow] = each
        return found

    def seconds_stale(self) -> float | None:
        """How old the picture may be; None before the first one."""
        return self._workflows.seconds_stale()

    def wait(self, condition: Callable[[], bool], *, seconds: float) -> bool:
        return self._workflows.wait(condition, seconds=seconds)

    def close(self) -> None:
        self._workflows.close()
        self._workloads.close()


class KubernetesWorkflows:
    """`Workflows` over a cluster.

    tenant_of: the tenant whose attempt has this name, from the store. watched: absent where workflows are made and
    seldom looked at.
    """

    capacity = CAPACITY

    def __init__(
        self,
        api: ApiServer,
        *,
        tenants: Tenants,
        tenant_of: Callable[[str], str | None],
        watched: Watched | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.api, self.tenants, self.tenant_of, self.watched = api, tenants, tenant_of, watched
        self._clock = clock
        self._reviewed: dict[bytes, tuple[float, str, str | None]] = {}  # digest -> when, namespace, pod
        self._lock = threading.Lock()

    def create(self, name: str, *, tenant: TenantEntry, parameters: Mapping[str, str]) -> None:
        """Raises WorkflowRefusedError also where another request's workflow has the name."""
        body = workflow(name, tenant=tenant, parameters=parameters)
        path = workflows_path(tenant.training_namespace)
        with _served():
            try:
                self.api.request("POST", path, body=body)
            except RefusedError as error:
                if error.status != httpx.codes.CONFLICT:
                    raise _refused(name, error) from error
                self._compare(name, path, parameters)

    def get(self, name: str) -> WorkflowStatus | None:
        if self.watched is not None:
            self.watched.refresh()
            if (found := self.watched.get(name)) is not None:
                return self._with_admission(found.status)
        asked = self._ask(name)
        return self._with_admission(asked.status) if asked else None

    def list(self) -> Sequence[WorkflowStatus]:
        if self.watched is not None:
            self.watched.refresh()
            found = self.watched.all()
        else:
            with _served():
                found = [each for tenant in self.tenants.tenants() for each in _listed(self.api, tenant)]
        return [each.status for each in sorted(found, key=lambda each: (each.created_at, each.status.name))]

    def stop(self, name: str) -> None:
        """Stop, never Terminate: that would skip the exit handler, which frees the GPUs."""
        if (path := self._path(name)) is None:
            return
        with _served():
            try:
                self.api.request("PATCH", path, body={"spec": {"shutdown": "Stop"}}, content_type=MERGE_PATCH)
            except RefusedError as error:
                if error.status != httpx.codes.NOT_FOUND:
                    raise _refused(name, error) from error

    def admits(self, name: str, token: str) -> bool:
        """Whose token it is, the server says; which workflow's, the name of the pod that it was mounted into."""
        namespace, pod = self._review(token)
        if namespace is None or pod is None or not pod.startswith(f"{name}-"):
            return False
        tenant = self.tenant_of(name)
        entry = self.tenants.tenant(tenant) if tenant else None
        return entry is not None and entry.training_namespace == namespace

    def _compare(self, name: str, path: str, parameters: Mapping[str, str]) -> None:
        """The name is taken: by this attempt, or by another one, which no repetition would change."""
        there = seen(self.api.request("GET", f"{path}/{name}"))
        if there.request_hash == request_hash(parameters):
            raise AlreadyExists(f"workflow {name}: was made before")
        text = f"workflow {name}: the name is taken by another request; delete that Workflow, then retry the job"
        raise WorkflowRefusedError(COLLISION, text)

    def _path(self, name: str) -> str | None:
        """Where the workflow is, as the store or else the mirror knows; None: its tenant is gone."""
        tenant = self.tenant_of(name)
        entry = self.tenants.tenant(tenant) if tenant else None
        if entry is not None:
            return f"{workflows_path(entry.training_namespace)}/{name}"
        found = self.watched.get(name) if self.watched else None
        return f"{workflows_path(found.namespace)}/{name}" if found else None

    def _ask(self, name: str) -> Seen | None:
        if (path := self._path(name)) is None:
            return None
        with _served():
            try:
                return seen(self.api.request("GET", path))
            except RefusedError as error:
                if error.status == httpx.codes.NOT_FOUND:
                    return None
                raise _refused(name, error) from error

    def _with_admission(self, status: WorkflowStatus) -> WorkflowStatus:
        admitted = self.watched.admissions().get(status.name) if self.watched else None
        return status.model_copy(update={"admitted_at": admitted.at}) if admitted else status

    def _review(self, token: str) -> tuple[str | None, str | None]:
        """Namespace and pod of a step's genuine token. Refusals are not kept: a token may be too young."""
        digest, now = hashlib.sha256(token.encode(errors="surrogateescape")).digest(), self._clock()
        with self._lock:
            known = self._reviewed.get(digest)
        if known is not None and now - known[0] < REVIEWED_SECONDS:
            return known[1], known[2]
        with _served():
            try:
                found = self.api.review_token(token, audiences=(STATUS_AUDIENCE,))
            except RefusedError as error:
                raise WorkflowsUnavailable(f"tokens cannot be reviewed: {error}") from error
        if found is None or not (found.account in ACCOUNTS or found.account.startswith("trainer-")):
            return None, None
        with self._lock:
            if len(self._reviewed) >= MOST_REVIEWED:
                self._reviewed.clear()
            self._reviewed[digest] = (now, found.namespace, found.pod)
        return found.namespace, found.pod


def _listed(api: ApiServer, tenant: TenantEntry) -> list[Seen]:
    path, query = workflows_path(tenant.training_namespace), {"labelSelector": JOB_LABEL}
    try:
        return [seen(body) for body in api.request("GET", path, query=query).get("items") or ()]
    except RefusedError as error:
        raise WorkflowsUnavailable(f"workflows of {tenant.id}: cannot be listed: {error}") from error


def _refused(name: str, error: RefusedError) -> WorkflowRefusedError:
    """403 and 404 may be of a tenant whose namespace and rights are not synced yet."""
    early = error.status in {httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND}
    text = f"workflow {name}: the cluster refuses it: {error}"
    return WorkflowRefusedError("workflow_refused", text, is_final=not early)


@contextmanager
def _served() -> Iterator[None]:
    try:
        yield
    except ApiServerUnavailable as error:
        raise WorkflowsUnavailable(str(error)) from error
