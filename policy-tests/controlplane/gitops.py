"""Argo CD on a control plane: redis, repo-server and application-controller as plain processes.

Each of the three listens on every address and on fixed ports, so run it in a network namespace of its own
(`make test-controllers` does). A Git folder is the repository; a commit is seen within seconds.
"""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from controlplane.api import Api
from controlplane.binaries import built
from controlplane.crds import module_folder
from controlplane.documents import Document, Kind
from controlplane.redis import redis_server
from controlplane.server import ControlPlane, running

NAMESPACE = "argocd"
REPO_PORT, REDIS_PORT = 8081, 6379
KINDS: tuple[Kind, ...] = tuple(
    ("argoproj.io/v1alpha1", kind) for kind in ("Application", "AppProject", "ApplicationSet")
)
ACCOUNT = "argocd-application-controller"


@contextmanager
def argocd(plane: ControlPlane, *, settings: dict[str, str]) -> Iterator[None]:
    """Argo CD with `settings` merged into argocd-cm. Raises MissingToolError, NotReadyError."""
    program, module = built("argocd"), module_folder("argocd", "github.com/argoproj/argo-cd/v3")
    redis = redis_server()
    plane.api.install(KINDS)
    for each in _configuration(module, settings):
        answer = plane.api.apply(each, dry_run=False)
        assert answer.accepted, answer
    folder = plane.folder / "argocd"
    environment = _environment(folder, plane, verifier=module / "hack" / "git-verify-wrapper.sh")
    with ExitStack() as stack:
        redis_flags = ["--port", str(REDIS_PORT), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        stack.enter_context(
            running(
                [redis.command, *redis_flags], log=folder / "redis.log", environment=redis.environment, folder=folder
            )
        )
        for role, flags in _ROLES.items():
            own = {**environment, "ARGOCD_BINARY_NAME": role}
            stack.enter_context(
                running([str(program), *flags], log=folder / f"{role}.log", environment=own, folder=folder)
            )
        yield


_ROLES = {
    "argocd-repo-server": [
        f"--port={REPO_PORT}",
        "--disable-tls",
        "--client-ca-path=",  # 3.5 refuses --disable-tls beside its default
        f"--redis=127.0.0.1:{REDIS_PORT}",
        "--revision-cache-expiration=1s",
    ],
    "argocd-application-controller": [
        f"--redis=127.0.0.1:{REDIS_PORT}",
        f"--repo-server=127.0.0.1:{REPO_PORT}",
        "--repo-server-plaintext",
        "--app-resync=5",
        "--app-resync-jitter=0",
        f"--namespace={NAMESPACE}",
    ],
}


def _configuration(module: Path, settings: dict[str, str]) -> Iterator[Document]:
    """The module's own ConfigMaps and Secret, with ours; and the controller's account, bound as its chart binds it."""
    yield Document("namespace", f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAMESPACE}}}\n")
    for path in sorted((module / "manifests" / "base" / "config").glob("argocd-*.yaml")):
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
        body["metadata"]["namespace"] = NAMESPACE
        if path.stem == "argocd-cm":
            body["data"] = {**body.get("data", {}), **settings}
        if path.stem == "argocd-secret":
            body["stringData"] = {"server.secretkey": "of-this-test-alone"}
        yield Document(path.name, yaml.safe_dump(body))
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": NAMESPACE}}
    yield Document("account", yaml.safe_dump(account))
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": ACCOUNT},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
    }
    yield Document("binding", yaml.safe_dump(binding))


def _environment(folder: Path, plane: ControlPlane, *, verifier: Path) -> dict[str, str]:
    for name in ("tls", "ssh", "tmp", "bin", "home"):
        (folder / name).mkdir(parents=True)
    # the repo-server calls it even with GPG off, and the module cache's copy is not executable
    copied = folder / "bin" / verifier.name
    shutil.copyfile(verifier, copied)
    copied.chmod(stat.S_IRWXU)
    return {
        **os.environ,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),  # checkouts below it are made unreadable between uses
        "KUBECONFIG": str(plane.kubeconfig),
        "ARGOCD_FAKE_IN_CLUSTER": "true",
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_TLS_DATA_PATH": str(folder / "tls"),
        "ARGOCD_SSH_DATA_PATH": str(folder / "ssh"),
    }


class Repository:
    """A Git repository in a folder, which Argo CD reads by a `file://` address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._git("init", "--quiet", "--initial-branch=main")

    @property
    def url(self) -> str:
        return f"file://{self.folder}"

    def commit(self, message: str) -> None:
        """Everything in the folder, as one commit."""
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", message)

    def _git(self, *words: str) -> None:
        identity = ["-c", "user.name=Test", "-c", "user.email=test@tenon.example", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(self.folder), *identity, *words], check=True, capture_output=True)


def read(api: Api, path: str) -> dict[str, object] | None:
    """An object by its path, or None."""
    answer = api.http.get(path)
    return dict(answer.json()) if answer.is_success else None
