"""etcd and kube-apiserver on loopback, for as long as a `with` lasts.

Start flags: RBAC, every admission plugin that is on by default, a service account issuer; no controller-manager, so
nothing makes tokens, default accounts or quota status unless a test does. Children die with their parent.
"""

import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from controlplane.api import Api
from controlplane.binaries import MissingToolError, built

READY_SECONDS = 90.0
POLL_SECONDS = 0.05

KUBECONFIG = """apiVersion: v1
kind: Config
current-context: tests
clusters: [{{name: tests, cluster: {{server: "{url}", certificate-authority: "{certificate}"}}}}]
users: [{{name: admin, user: {{token: "{token}"}}}}]
contexts: [{{name: tests, context: {{cluster: tests, user: admin}}}}]
"""


class NotReadyError(Exception):
    """A program ended, or was not ready in time; the text holds its last lines."""


@dataclass(frozen=True)
class ControlPlane:
    """A server that is ready. `folder` holds logs, keys and kubeconfig, and goes away with it."""

    url: str
    token: str
    folder: Path
    api: Api

    @property
    def certificate(self) -> Path:
        return self.folder / "certificates" / "apiserver.crt"

    @property
    def signing_key(self) -> Path:
        """Of service account tokens; a controller-manager wants it."""
        return self.folder / "accounts.key"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"


@contextmanager
def control_plane() -> Iterator[ControlPlane]:
    """Start both, end both.

    Raises MissingToolError where they cannot be built, NotReadyError when they do not come up.
    """
    etcd, apiserver = built("etcd"), built("kube-apiserver")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tenon-api-", ignore_cleanup_errors=True)))
        client, peer, port = free_ports(3)
        stack.enter_context(running([str(etcd), *_etcd_flags(folder, client, peer)], log=folder / "etcd.log"))
        token = secrets.token_urlsafe(16)
        flags = _apiserver_flags(folder, token, etcd=client, port=port)
        server = stack.enter_context(running([str(apiserver), *flags], log=folder / "kube-apiserver.log"))
        url = f"https://127.0.0.1:{port}"
        certificate = folder / "certificates" / "apiserver.crt"
        server.wait_until(certificate.exists)  # made by the server itself
        api = Api(url, token=token, certificate=certificate)
        stack.callback(api.http.close)
        server.wait_until(api.is_ready)
        plane = ControlPlane(url, token, folder, api)
        plane.kubeconfig.write_text(KUBECONFIG.format(url=url, certificate=certificate, token=token), encoding="utf-8")
        yield plane


@dataclass(frozen=True)
class Running:
    """One program and its log."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = READY_SECONDS) -> None:
        """Poll a condition while the program lives. Raises NotReadyError."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None:
                raise NotReadyError(f"{self.log.stem} ended with {self.process.returncode}: {self.last_lines()}")
            if time.monotonic() > deadline:
                raise NotReadyError(f"{self.log.stem} was not ready in {seconds:.0f} s: {self.last_lines()}")
            time.sleep(POLL_SECONDS)

    def last_lines(self, count: int = 8) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


@contextmanager
def running(
    command: Sequence[str], *, log: Path, environment: dict[str, str] | None = None, folder: Path | None = None
) -> Iterator[Running]:
    """A program that dies with its parent, killed at the end: kube-apiserver would keep its port for seconds."""
    with (
        log.open("ab") as output,
        subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Running(process, log)
        finally:
            process.kill()
            process.wait()


def free_ports(count: int) -> list[int]:
    """Ports of loopback that are free now, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _etcd_flags(folder: Path, client: int, peer: int) -> list[str]:
    clients, peers = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",  # nothing outlives the test
    ]


def _apiserver_flags(folder: Path, token: str, *, etcd: int, port: int) -> list[str]:
    tokens, key = folder / "tokens.csv", folder / "accounts.key"
    tokens.write_text(f'{token},admin,admin,"system:masters"\n', encoding="utf-8")
    _make_key(key)
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder / 'certificates'}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=Node,RBAC",
        f"--token-auth-file={tokens}",
        "--anonymous-auth=true",
        f"--service-account-issuer=https://127.0.0.1:{port}",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--enable-admission-plugins=NodeRestriction",
        "--endpoint-reconciler-type=none",
        "--allow-privileged=true",
        "--kubelet-preferred-address-types=InternalIP",
    ]


def _make_key(file: Path) -> None:
    if (openssl := shutil.which("openssl")) is None:
        raise MissingToolError("openssl is not on PATH; install the package openssl")
    command = [openssl, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(file)]
    subprocess.run(command, check=True, capture_output=True)
