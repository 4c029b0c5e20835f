"""kube-controller-manager: namespaces end, owned objects go, accounts `default` and their tokens appear."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from controlplane.binaries import built
from controlplane.server import ControlPlane, Running, free_ports, running

# What tests wait for. The rest would only say that no node is there.
CONTROLLERS = (
    "namespace-controller",
    "garbage-collector-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "resourcequota-controller",
)


@contextmanager
def controller_manager(plane: ControlPlane, *, more: Sequence[str] = ()) -> Iterator[Running]:
    """more: controllers beside those. Raises MissingToolError where it cannot be built."""
    [port] = free_ports(1)
    flags = [
        f"--kubeconfig={plane.kubeconfig}",
        f"--controllers={','.join((*CONTROLLERS, *more))}",
        f"--service-account-private-key-file={plane.signing_key}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={plane.folder / 'controller-manager'}",
        "--leader-elect=false",
    ]
    program = str(built("kube-controller-manager"))
    with running([program, *flags], log=plane.folder / "kube-controller-manager.log") as started:
        yield started
