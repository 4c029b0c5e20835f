"""A real Argo CD syncs the rendered tree from Git: a tenant comes, changes and goes, and nobody else is touched."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from controlplane.api import Api
from controlplane.binaries import MissingToolError
from controlplane.cleanup import controller_manager
from controlplane.documents import Document, read_documents
from controlplane.gitops import NAMESPACE, Repository, argocd
from controlplane.operators import operators
from controlplane.server import ControlPlane, control_plane
from controlplane.standins import stand_in

from generators.rendering import write

pytestmark = pytest.mark.controllers

ROOT = Path(__file__).parents[1]
PATIENCE_SECONDS = 300
MERGE = {"Content-Type": "application/merge-patch+json"}
LONG_AGO = "2026-01-01T00:00:00Z"
POLL_SECONDS = 0.2
APPS = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/applications"


@dataclass(frozen=True)
class Cluster:
    """A cluster that follows a Git repository."""

    api: Api
    repository: Repository

    @property
    def root(self) -> Path:
        return self.repository.folder

    def publish(self, message: str) -> None:
        """Render and commit, as a merged pull request does. Stand-ins play add-ons: no mirror of charts is here."""
        write(self.root)
        for chart in self.root.glob("rendered/*/platform/delivery/argocd/*_application_addon-*.yaml"):
            chart.unlink()
        self.repository.commit(message)

    def get(self, path: str) -> dict[str, Any] | None:
        answer = self.api.http.get(path)
        return dict(answer.json()) if answer.is_success else None

    def application(self, name: str) -> dict[str, Any]:
        return self.get(f"{APPS}/{name}") or {}

    def eventually(self, condition: Callable[[], Any], what: str) -> Any:
        """What the condition answers once it is truthy; fails with the Applications' own messages."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (answer := condition()):
            if time.monotonic() > deadline:
                pytest.fail(f"{what}: not within {PATIENCE_SECONDS} s\n{self.messages()}")
            time.sleep(POLL_SECONDS)
        return answer

    def is_synced(self, name: str) -> bool:
        status = self.application(name).get("status", {})
        return bool(status.get("sync", {}).get("status") == "Synced")

    def messages(self) -> str:
        lines = []
        for each in self.api.http.get(APPS).json().get("items", ()):
            status = each.get("status", {})
            operation = status.get("operationState", {})
            head = f"{each['metadata']['name']}: {status.get('sync', {}).get('status')} {operation.get('phase')}"
            lines.append(f"{head} {operation.get('message', '')}")
            lines += [f"  {condition['message']}" for condition in status.get("conditions", ())]
            lines += [
                f"  {found['kind']} {found['name']}: {found.get('status')} {found.get('message')}"
                for found in operation.get("syncResult", {}).get("resources", ())
                if found.get("status") != "Synced"
            ]
            lines += [
                f"  {found['kind']} {found['name']}: {found['health']}"
                for found in status.get("resources", ())
                if found.get("health", {}).get("status", "Healthy") != "Healthy"
            ]
        return "\n".join(lines)


def owners_of(tenant: str) -> str:
    return f"/api/v1/namespaces/{tenant}-train"


@pytest.fixture(scope="module")
def plane(absent: Callable[[str], None]) -> Iterator[ControlPlane]:
    try:
        with control_plane() as started, controller_manager(started), operators(started.api):
            yield started
    except MissingToolError as error:
        absent(str(error))


@pytest.fixture(scope="module")
def cluster(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The sample tree without initech, synced by the root Application that a platform engineer applies."""
    folder = tmp_path_factory.mktemp("tenon")
    for name in ("platform.yaml", "images.lock", "charts.lock"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "tenants", folder / "tenants")
    repository = Repository(folder)
    text = (folder / "platform.yaml").read_text(encoding="utf-8")
    own = yaml.safe_load(text)["repository"]
    (folder / "platform.yaml").write_text(text.replace(own, repository.url), encoding="utf-8")
    initech = folder.parent / "initech"
    shutil.move(folder / "tenants/initech.yaml", folder.parent / "initech.yaml")
    shutil.move(folder / "tenants/initech", initech)
    made = Cluster(plane.api, repository)
    made.publish("Begin")
    stand_in(plane.api, (each.kind for each in read_documents(folder / "rendered")))
    settings = yaml.safe_load((ROOT / "argocd/settings.yaml").read_text(encoding="utf-8"))["data"]
    quick = {key: value for key, value in settings.items() if not key.startswith("timeout.")}
    with argocd(plane, settings=quick):
        for body in yaml.safe_load_all((ROOT / "argocd/root.yaml").read_text(encoding="utf-8")):
            applied = yaml.safe_dump(body).replace(own, repository.url)
            assert plane.api.apply(Document("root.yaml", applied), dry_run=False).accepted
        yield made


def test_the_root_application_brings_the_platform_and_every_tenant(cluster: Cluster) -> None:
    names = ["root", "platform", *(f"{tenant}-{part}" for tenant in ("acme", "globex") for part in PARTS)]
    cluster.eventually(lambda: all(cluster.is_synced(name) for name in names), "everything synced")


PARTS = ("foundation", "workloads")
QUEUE = "/apis/kueue.x-k8s.io/v1beta2/clusterqueues/{}"
POLICY = "/apis/cilium.io/v2/namespaces/acme-train/ciliumnetworkpolicies/dns"


def versions_of(cluster: Cluster, tenant: str) -> dict[str, str]:
    """Every object of a tenant's two Applications and the resource version of its specification."""
    found = {}
    for part in PARTS:
        for each in cluster.application(f"{tenant}-{part}")["status"]["resources"]:
            kind = (f"{each['group']}/{each['version']}" if each.get("group") else each["version"], each["kind"])
            resource = cluster.api.served()[kind]
            path = f"{resource.path(each.get('namespace'))}/{each['name']}"
            body = cluster.get(path)
            assert body, path
            found[path] = f"{body['metadata']['uid']} {body['metadata'].get('generation', 0)}"
    return found


@pytest.mark.requirement("B41")
def test_an_object_that_somebody_deletes_comes_back(cluster: Cluster) -> None:
    before = cluster.get(POLICY)
    assert before
    assert cluster.api.http.delete(POLICY).is_success
    healed = cluster.eventually(lambda: cluster.get(POLICY), "the policy is back")
    assert healed["spec"] == before["spec"]
    assert healed["metadata"]["uid"] != before["metadata"]["uid"]


@pytest.mark.requirement("B41")
def test_a_setting_that_somebody_edits_is_set_back(cluster: Cluster) -> None:
    path = QUEUE.format("acme")
    before = cluster.get(path)
    assert before
    edit = {"spec": {"preemption": {"reclaimWithinCohort": "Never"}}}
    assert cluster.api.http.patch(path, json=edit, headers=MERGE).is_success
    cluster.eventually(lambda: (cluster.get(path) or {})["spec"] == before["spec"], "the queue is as Git says")


@pytest.mark.parametrize(
    ("path", "condition"),
    [(QUEUE.format("globex"), "Active"), (POLICY.replace("acme", "globex"), "Valid")],
)
def test_what_its_controller_refuses_is_shown_as_degraded(cluster: Cluster, path: str, condition: str) -> None:
    def says(status: str) -> None:
        full = {"type": condition, "status": status, "reason": "Test", "message": "", "lastTransitionTime": LONG_AGO}
        for target in (f"{path}/status", path):  # without a status subresource it goes with the object
            cluster.api.http.patch(target, json={"status": {"conditions": [full]}}, headers=MERGE)

    def health() -> str:
        return str(cluster.application("globex-foundation")["status"]["health"]["status"])

    says("False")
    cluster.eventually(lambda: health() == "Degraded", f"{path} makes the Application degraded")
    says("True")
    cluster.eventually(lambda: health() != "Degraded", f"{path} is fine again")


def test_a_new_tenant_comes_and_changes_nothing_of_the_others(cluster: Cluster) -> None:
    before = versions_of(cluster, "acme")
    shutil.copy(cluster.root.parent / "initech.yaml", cluster.root / "tenants/initech.yaml")
    shutil.copytree(cluster.root.parent / "initech", cluster.root / "tenants/initech")
    cluster.publish("Add initech")
    cluster.eventually(lambda: all(cluster.is_synced(f"initech-{part}") for part in PARTS), "initech synced")
    assert versions_of(cluster, "acme") == before


def test_a_change_of_a_tenants_file_reaches_its_queue(cluster: Cluster) -> None:
    path = cluster.root / "tenants/acme.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("borrow: 2", "borrow: 1"), encoding="utf-8")
    cluster.publish("Borrow less")

    def borrowed() -> bool:
        [group] = (cluster.get(QUEUE.format("acme")) or {})["spec"]["resourceGroups"]
        return any(each.get("borrowingLimit") == "1" for each in group["flavors"][0]["resources"])

    cluster.eventually(borrowed, "the queue borrows one GPU")


BY_PROJECT = {  # object -> why its project refuses it
    ("networking.k8s.io/v1", "NetworkPolicy", "globex-serve"): "NetworkPolicy is not permitted in project",
    ("v1", "Secret", "globex-serve"): "Secret is not permitted in project",
    ("v1", "Pod", "globex-serve"): "Pod is not permitted in project",
    ("v1", "Service", "acme-serve"): "namespace acme-serve is not permitted in project",
}


def test_a_tenants_project_delivers_nothing_that_isolates_or_runs_or_is_anothers(cluster: Cluster) -> None:
    with smuggled(cluster, *BY_PROJECT):
        cluster.eventually(lambda: all(why in cluster.messages() for why in BY_PROJECT.values()), "all are refused")


def test_a_sync_runs_as_the_tenants_deployer_who_may_less_than_the_project(cluster: Cluster) -> None:
    with smuggled(cluster, ("v1", "Service", "globex-train")):
        refusal = 'User "system:serviceaccount:globex-serve:deployer" cannot'
        cluster.eventually(lambda: refusal in cluster.messages(), "the deployer is refused")


@contextmanager
def smuggled(cluster: Cluster, *objects: tuple[str, str, str]) -> Iterator[None]:
    """Objects that no renderer made, committed into a tenant's own folder; taken back at the end."""
    paths = []
    for index, (api_version, kind, namespace) in enumerate(objects):
        body: dict[str, Any] = {"apiVersion": api_version, "kind": kind, "spec": {"ports": [{"port": 80}]}}
        body["metadata"] = {"name": "smuggled", "namespace": namespace}
        paths.append(cluster.root / f"rendered/eu1/tenants/globex/workloads/smuggled{index}.yaml")
        paths[-1].write_text(yaml.safe_dump(body), encoding="utf-8")
    cluster.repository.commit("Smuggle")
    yield
    for path in paths:
        path.unlink()
    cluster.repository.commit("Take it back")
    cluster.eventually(lambda: cluster.is_synced("globex-workloads"), "globex synced again")


def test_a_tenant_goes_only_when_a_person_confirms_and_takes_nobody_along(cluster: Cluster) -> None:
    before = versions_of(cluster, "globex")
    (cluster.root / "tenants/initech.yaml").unlink()
    shutil.rmtree(cluster.root / "tenants/initech")
    cluster.publish("Remove initech")
    cluster.eventually(
        lambda: cluster.application("initech-foundation").get("metadata", {}).get("deletionTimestamp"),
        "it is asked to go",
    )
    assert cluster.get(owners_of("initech"))
    approve = {"metadata": {"annotations": {"argocd.argoproj.io/deletion-approved": "2100-01-01T00:00:00Z"}}}
    assert cluster.api.http.patch(f"{APPS}/initech-foundation", json=approve, headers=MERGE).is_success
    cluster.eventually(lambda: cluster.get(owners_of("initech")) is None, "its namespaces are gone")
    cluster.eventually(lambda: not cluster.application("initech-foundation"), "its Applications are gone")
    assert cluster.get(QUEUE.format("initech")) is None
    assert versions_of(cluster, "globex") == before
