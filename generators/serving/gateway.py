"""Traffic router `gatewayApi`: one HTTPRoute, whose weights a canary moves."""

from typing import Any

from generators import naming, versions
from generators.manifest import Wave
from generators.serving.server import Objects, Served
from generators.serving.services import PORT, canary_service, stable_service

PLUGIN = "argoproj-labs/gatewayAPI"


def objects(served: Served) -> Objects:
    """The HTTPRoute of the model's host."""
    return [(route(served), Wave.SERVICE, "serving")]


def routing(served: Served) -> dict[str, Any]:
    """The plugin gets no namespace: it would let one Rollout move the weights of another tenant's route."""
    return {"plugins": {PLUGIN: {"httpRoute": served.model}}}


def host(served: Served) -> str:
    return f"{served.model}.{served.tenant.id}.{served.platform.domain}"


def route(served: Served) -> dict[str, Any]:
    """100/0 in Git; a canary moves the weights in the cluster, and Argo CD ignores those two fields."""
    gateway = served.platform.gateway
    backends = [_backend(stable_service(served.model), 100), _backend(canary_service(served.model), 0)]
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
