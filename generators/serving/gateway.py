"""How requests reach a model: two Services and one HTTPRoute, whose weights a canary moves."""

from typing import Any

from app.contract.internal import MODEL_PORT
from generators import naming, versions
from generators.serving.server import Served, selector

PORT = 80


def stable_service(model: str) -> str:
    """Service of the version that users get; the active one of a blue-green roll-out."""
    return f"{model}-stable"


def canary_service(model: str) -> str:
    """Service of the new version; the preview of a blue-green roll-out."""
    return f"{model}-canary"


def host(served: Served) -> str:
    return f"{served.model}.{served.tenant.id}.{served.platform.domain}"


def service(served: Served, name: str) -> dict[str, Any]:
    """A Service whose selector the Rollouts controller narrows to one version."""
    ports = [{"name": "http", "port": PORT, "targetPort": MODEL_PORT, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": naming.labels(served.tenant.id)},
        "spec": {"type": "ClusterIP", "selector": selector(served.model), "ports": ports},
    }


def route(served: Served) -> dict[str, Any]:
    """100/0 in Git; a canary moves the weights in the cluster, and Argo CD ignores those two fields."""
    gateway = served.platform.gateway
    backends = [_backend(stable_service(served.model), 100)]
    if served.record.serving.strategy == "canary":
        backends.append(_backend(canary_service(served.model), 0))
    rule = {"matches": [{"path": {"type": "PathPrefix", "value": "/v1"}}], "backendRefs": backends}
    return {
        "apiVersion": versions.GATEWAY,
        "kind": "HTTPRoute",
        "metadata": {"name": served.model, "labels": naming.labels(served.tenant.id)},
        "spec": {
            "parentRefs": [{"name": gateway.name, "namespace": gateway.namespace}],
            "hostnames": [host(served)],
            "rules": [rule],
        },
    }


def _backend(name: str, weight: int) -> dict[str, Any]:
    # the empty group is Cilium's wish: without it its routes and the plugin's differ for ever
    return {"group": "", "kind": "Service", "name": name, "port": PORT, "weight": weight}
