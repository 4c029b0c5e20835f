"""Services of a served model: one for each version that may get traffic at one time."""

from typing import Any

from app.contract.internal import MODEL_PORT
from generators import naming
from generators.serving.server import Served, selector

PORT = 80


def stable_service(model: str) -> str:
    """Service of the version that users get; the active one of a blue-green roll-out."""
    return f"{model}-stable"


def canary_service(model: str) -> str:
    """Service of the new version, of the stable one while there is no other; the preview of a blue-green roll-out."""
    return f"{model}-canary"


def arm_service(served: Served) -> str:
    """Service of a part that no Rollouts controller points anywhere else."""
    return served.name


def service(served: Served, name: str) -> dict[str, Any]:
    """A Service whose selector the Rollouts controller narrows to one version."""
    ports = [{"name": "http", "port": PORT, "targetPort": MODEL_PORT, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": naming.labels(served.tenant.id)},
        "spec": {"type": "ClusterIP", "selector": selector(served.name), "ports": ports},
    }
