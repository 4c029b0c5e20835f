"""What carries jobs on a control plane: Argo's workflow-controller, Kueue and JobSet as plain processes.

Argo's listens on fixed ports of every address, so run it in a network namespace of its own. Kueue reads the certificate
of its metrics from a fixed folder below /etc, which it finds in a mount namespace of its own.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from controlplane.api import Api
from controlplane.binaries import built
from controlplane.cleanup import controller_manager
from controlplane.crds import SOURCES, crds_in, module_folder
from controlplane.documents import Document, Kind
from controlplane.server import ControlPlane, Running, running

NAMESPACE = "argo"
TOOLS = ("argo-workflows", "jobset", "kueue")
WEBHOOK_PORTS = {"jobset": 9444, "kueue": 9443}
PROBE_PORTS = {"jobset": 8083, "kueue": 8082}
HOOKED = frozenset({"jobset.x-k8s.io", "kueue.x-k8s.io", "batch"})  # groups whose webhooks are asked

# /etc as it is, and the one folder more that Kueue insists on; nobody else sees it
_WITH_CERTIFICATE = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc
mkdir -p /etc/kueue/metrics/certs
cp "$2/tls.crt" "$2/tls.key" /etc/kueue/metrics/certs/
shift 2
exec "$@"
"""


@contextmanager
def job_controllers(plane: ControlPlane) -> Iterator[None]:
    """All of them, ready. Raises MissingToolError, NotReadyError."""
    programs = {name: str(built(name)) for name in ("workflow-controller", "jobset", "kueue")}
    plane.api.install(sorted(kinds()))
    folder = plane.folder / "jobs"
    certificates = _certificate(folder / "certificates")
    environment = {**os.environ, "KUBECONFIG": str(plane.kubeconfig), "LEADER_ELECTION_DISABLE": "true"}
    with ExitStack() as stack:
        stack.enter_context(controller_manager(plane, more=("job-controller",)))
        started: dict[str, Running] = {}
        for name, command in {
            "jobset": [programs["jobset"], f"--config={_jobset_settings(folder, certificates)}"],
            "kueue": [
                *("unshare", "--mount", "sh", "-c", _WITH_CERTIFICATE, "kueue"),
                *(str(_made(folder / "etc")), str(certificates)),
                *(programs["kueue"], f"--config={_kueue_settings(folder, certificates)}"),
            ],
            "workflow-controller": [programs["workflow-controller"], f"--namespace={NAMESPACE}"],
        }.items():
            log = folder / f"{name}.log"
            started[name] = stack.enter_context(running(command, log=log, environment=environment, folder=folder))
        for name in WEBHOOK_PORTS:
            started[name].wait_until(lambda name=name: _is_ready(name))  # type: ignore[misc]
            _register(plane.api, name, certificates / "tls.crt")
        yield


def kinds() -> set[Kind]:
    """Every kind that one of the three defines: each controller waits for all of its own."""
    sources = [source for source in SOURCES if source.tools in TOOLS]
    return {kind for each in sources for kind, _ in crds_in(each, module_folder(each.tools, each.module))}


def _certificate(folder: Path) -> Path:
    _made(folder)
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
        *("-subj", "/CN=webhooks", "-addext", "subjectAltName=IP:127.0.0.1"),
        *("-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def _jobset_settings(folder: Path, certificates: Path) -> Path:
    return _settings(
        folder / "jobset.yaml",
        {
            "apiVersion": "config.jobset.x-k8s.io/v1alpha1",
            "kind": "Configuration",
            **_common("jobset", certificates),
        },
    )


def _kueue_settings(folder: Path, certificates: Path) -> Path:
    return _settings(
        folder / "kueue.yaml",
        {
            "apiVersion": "config.kueue.x-k8s.io/v1beta2",
            "kind": "Configuration",
            **_common("kueue", certificates),
            "featureGates": {"VisibilityOnDemand": False},
            "integrations": {"frameworks": ["batch/job", "jobset.x-k8s.io/jobset"]},
        },
    )


def _common(name: str, certificates: Path) -> dict[str, object]:
    return {
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
        "webhook": {"host": "127.0.0.1", "port": WEBHOOK_PORTS[name], "certDir": str(certificates)},
        "metrics": {"bindAddress": "127.0.0.1:0"},
        "health": {"healthProbeBindAddress": f"127.0.0.1:{PROBE_PORTS[name]}"},
    }


def _settings(file: Path, content: dict[str, object]) -> Path:
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def _is_ready(name: str) -> bool:
    import httpx

    try:
        return httpx.get(f"http://127.0.0.1:{PROBE_PORTS[name]}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False


def _register(api: Api, name: str, certificate: Path) -> None:
    """The tool's own webhooks, at the address where it listens here. Those of kinds that nobody made are left out."""
    module = {source.tools: source.module for source in SOURCES}[name]
    text = (module_folder(name, module) / "config/components/webhook/manifests.yaml").read_text(encoding="utf-8")
    trusted = _encoded(certificate)
    for body in yaml.safe_load_all(text):
        if not body:
            continue
        body["metadata"]["name"] = f"{name}-{body['metadata']['name']}"
        hooks = [hook for hook in body["webhooks"] if _groups(hook) <= HOOKED]
        for hook in hooks:
            path = hook["clientConfig"].pop("service")["path"]
            hook["clientConfig"] = {"url": f"https://127.0.0.1:{WEBHOOK_PORTS[name]}{path}", "caBundle": trusted}
        answer = api.apply(Document(f"webhooks of {name}", yaml.safe_dump({**body, "webhooks": hooks})), dry_run=False)
        assert answer.accepted, answer


def _groups(hook: dict[str, list[dict[str, list[str]]]]) -> set[str]:
    return {group for rule in hook["rules"] for group in rule["apiGroups"]}


def _encoded(certificate: Path) -> str:
    import base64

    return base64.b64encode(certificate.read_bytes()).decode("ascii")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
