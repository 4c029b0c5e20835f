"""Traffic router `gatewayApi`: HTTPRoutes of one host. Weights move in one of them; arms have routes of their own.

While Argo CD ignores a weight it keeps the whole live `rules` list of that route, which is one value to the API server
(argo-cd: controller/sync.go, normalizeTargetResources). So nothing in a route's rules may ever depend on an input that
changes: a route has the same rules under every strategy, and an arm is a route that comes and goes.
"""

from typing import Any

from app.contract.internal import ARM_B, ARM_CANARY, ARM_HEADER
from generators import naming, versions
from generators.manifest import Wave
from generators.serving.server import Objects, Served
from generators.serving.services import PORT, arm_service, canary_service, stable_service

PLUGIN = "argoproj-labs/gatewayAPI"


def objects(served: Served) -> Objects:
    """The routes of the model's host. A route that matches a header goes before one that does not."""
    made: Objects = [
        (route(served), Wave.SERVICE, "serving"),
        (_arm_route(served, ARM_CANARY, canary_service(served.model)), Wave.SERVICE, "serving"),
    ]
    if served.record.serving.ab:
        arm = Served(served.tenant, served.platform, served.model, "b")
        made.append((_arm_route(served, ARM_B, arm_service(arm)), Wave.SERVICE, "serving.ab"))
    return made


def routing(served: Served) -> dict[str, Any]:
    """The plugin gets no namespace: it would let one Rollout move the weights of another tenant's route.

    It gets no header routes to manage either: it would add them to the list of rules, and take them off by position.
    """
    return {"plugins": {PLUGIN: {"httpRoute": served.model}}}


def host(served: Served) -> str:
    return f"{served.model}.{served.tenant.id}.{served.platform.domain}"


def route(served: Served) -> dict[str, Any]:
    """100/0 in Git; a canary moves the weights in the cluster, and Argo CD ignores those two fields."""
    backends = [_backend(stable_service(served.model), 100), _backend(canary_service(served.model), 0)]
    return _route(served, served.model, {"path": _API}, backends)


def _arm_route(served: Served, arm: str, service: str) -> dict[str, Any]:
    """All requests of one arm. The Service of the canary has the stable version's pods while there is no canary."""
    header = {"type": "Exact", "name": ARM_HEADER, "value": arm}
    return _route(served, f"{served.model}-{arm}", {"path": _API, "headers": [header]}, [_backend(service, 1)])


def _route(served: Served, name: str, match: dict[str, Any], backends: list[dict[str, Any]]) -> dict[str, Any]:
    gateway = served.platform.gateway
    return {
        "apiVersion": versions.GATEWAY,
        "kind": "HTTPRoute",
        "metadata": {"name": name, "labels": naming.labels(served.tenant.id)},
        "spec": {
            "parentRefs": [{"name": gateway.name, "namespace": gateway.namespace}],
            "hostnames": [host(served)],
            "rules": [{"matches": [match], "backendRefs": backends}],
        },
    }


def _backend(name: str, weight: int) -> dict[str, Any]:
    # the empty group is Cilium's wish: without it its routes and the plugin's differ for ever
    return {"group": "", "kind": "Service", "name": name, "port": PORT, "weight": weight}


_API = {"type": "PathPrefix", "value": "/v1"}
