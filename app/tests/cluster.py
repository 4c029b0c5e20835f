"""A real kube-apiserver with what the rendered tree gives our services: namespaces, accounts, rights, admission."""

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from controlplane.api import Api
from controlplane.documents import Document, read_documents
from controlplane.server import ControlPlane, control_plane

from app.kubeconfig import Access
from app.tests.backends import TENANTS, RealAdmin
from app.workflows.manifest import workflows_path

WORKFLOW = ("argoproj.io/v1alpha1", "Workflow")
WORKLOAD = ("kueue.x-k8s.io/v1beta2", "Workload")
SYSTEM = "tenon-system"
_RENDERED = Path(__file__).parents[2] / "rendered"
_RIGHTS = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
_POLICIES = ("tenon-workflows", "tenon-tenant-label")


@dataclass
class RealCluster:
    """The server, and what the tests may do with it."""

    plane: ControlPlane
    admin: RealAdmin
    rendered: Sequence[Document]

    @property
    def api(self) -> Api:
        return self.plane.api

    def access(self, account: str) -> Access:
        """One of our services, by a token of its own account."""
        asked = self.api.http.post(
            f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{account}/token", json={"spec": {"expirationSeconds": 3600}}
        )
        token = asked.raise_for_status().json()["status"]["token"]
        return Access(self.plane.url, ssl.create_default_context(cafile=self.plane.certificate), token=str(token))

    def kubeconfig(self, account: str, folder: Path) -> Path:
        """The same as a file, for a process of its own."""
        access, file = self.access(account), folder / f"kubeconfig-{account}"
        cluster = {"server": self.plane.url, "certificate-authority": str(self.plane.certificate)}
        document = {
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": account}}],
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": account, "user": {"token": access.token}}],
        }
        file.write_text(yaml.safe_dump(document), encoding="utf-8")
        return file

    def add_tenants(self, names: Sequence[str]) -> None:
        """Training namespaces of further tenants, with the dispatcher's rights as acme's have them."""
        like = [each for each in self.rendered if _is_of(each, "acme-train", "dispatcher")]
        documents = [
            Document(f"{name}: {each.origin}", each.text.replace("acme", name)) for name in names for each in like
        ]
        self.apply(documents)

    def apply(self, documents: Sequence[Document]) -> None:
        """Really make them, namespaces first."""
        for each in sorted(documents, key=lambda each: each.body["kind"] != "Namespace"):
            answer = self.api.apply(each, dry_run=False)
            assert answer.accepted, answer

    def count(self, path: str) -> int:
        """How many objects the server has there."""
        found = self.api.http.get(path, params={"limit": "1"}).raise_for_status().json()
        return len(found["items"]) + int(found["metadata"].get("remainingItemCount", 0))

    def names(self, tenant: str) -> list[str]:
        """The tenant's Workflows, as the server lists them."""
        found = self.api.http.get(workflows_path(TENANTS[tenant].training_namespace)).raise_for_status().json()
        return [each["metadata"]["name"] for each in found["items"]]

    def clear(self) -> None:
        """No Workflow and no pod is left of other tests."""
        for tenant in TENANTS.values():
            namespace = tenant.training_namespace
            for path in (workflows_path(namespace), f"/api/v1/namespaces/{namespace}/pods"):
                query = {"gracePeriodSeconds": "0"}
                self.api.http.delete(path, params=query).raise_for_status()


@contextmanager
def real_cluster(
    controllers: Callable[[ControlPlane], AbstractContextManager[None]] | None = None,
) -> Iterator[RealCluster]:
    """controllers: what runs beside the server; then all is made that a job of acme needs.

    Raises MissingToolError, NotReadyError.
    """
    found = read_documents(next(path for path in _RENDERED.iterdir() if path.is_dir()))
    with ExitStack() as stack:
        plane = stack.enter_context(control_plane())
        made = RealCluster(plane, RealAdmin(plane.api.http), found)
        plane.api.install([WORKFLOW, WORKLOAD])
        ours = [each for each in found if _is_ours(each)]
        refused = [str(answer) for answer in plane.api.establish(ours) if not answer.accepted]
        assert not refused, refused
        made.apply([each for each in ours if each.kind[1] in _RIGHTS])
        if controllers is not None:
            made.apply([each for each in found if _before(each)])
            stack.enter_context(controllers(plane))
            made.apply([each for each in found if _after(each)])
        made.apply([each for each in found if each.body["metadata"]["name"] in _POLICIES])
        yield made


def _before(document: Document) -> bool:
    """What Argo's controller finds when it starts, and what bounds acme's pods."""
    body = document.body
    if body["kind"] == "Namespace":
        return bool(body["metadata"]["name"] == "argo")
    named = document.name == "workflow-controller-configmap"
    return named or (document.namespace == "acme-train" and body["kind"] in ("LimitRange", "ResourceQuota", "Secret"))


def _after(document: Document) -> bool:
    """Queues and templates; Kueue's own webhooks look at them."""
    kind = document.body["kind"]
    if kind in ("Cohort", "ResourceFlavor", "WorkloadPriorityClass"):
        return True
    if kind == "ClusterQueue":
        return document.name == "acme"
    return document.namespace == "acme-train" and kind in ("LocalQueue", "WorkflowTemplate")


def _is_of(document: Document, namespace: str, name: str) -> bool:
    """The namespace itself, and a Role and its binding of that name."""
    body = document.body
    if body["kind"] == "Namespace":
        return bool(body["metadata"]["name"] == namespace)
    return bool(body["kind"] in _RIGHTS and (document.namespace, document.name) == (namespace, name))


def _is_ours(document: Document) -> bool:
    """Of the two tenants' training namespaces and of our services' own; and who may review tokens."""
    body = document.body
    namespaces = {SYSTEM, *(tenant.training_namespace for tenant in TENANTS.values())}
    if body["kind"] == "Namespace":
        return body["metadata"]["name"] in namespaces
    if body["kind"] in ("ClusterRole", "ClusterRoleBinding"):
        return bool(body["metadata"]["name"] == "tenon-token-reviewer")
    return body["metadata"].get("namespace") in namespaces and body["kind"] in (*_RIGHTS, "ServiceAccount")
