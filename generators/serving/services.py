"""Services of a served model: one for each version that may get traffic at one time."""

from typing import Any

from app.contract.internal import MODEL_PORT
from generators import naming
from generators.serving.server import Served, selector

PORT = 80


def stable_service(name: str) -> str:
    """Service of the version that users get; the active one of a blue-green roll-out."""
    return f"{name}-stable"


def canary_service(name: str) -> str:
    """Service of the new version; the preview of a blue-green roll-out."""
    return f"{name}-canary"


def service(served: Served, name: str) -> dict[str, Any]:
    """A Service whose selector the Rollouts controller narrows to one version."""
    ports = [{"name": "http", "port": PORT, "targetPort": MODEL_PORT, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": naming.labels(served.tenant.id)},
        "spec": {"type": "ClusterIP", "selector": selector(served.model), "ports": ports},
    }
