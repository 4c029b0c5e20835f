"""Traffic router `istio`: VirtualServices and DestinationRules of one host in the place of its HTTPRoutes.

A canary is split between two Services, not between subsets of one: stable and canary Services are there for every
strategy, so the rules are the same for all of them. That matters, because Argo CD keeps the whole live list of a route
whose weight it ignores, and because a subset whose labels nobody has set yet selects every version. Arms are
VirtualServices of their own: Istio merges those of one host at a gateway, and puts the one without a match last.
"""

from typing import Any

from app.contract.internal import ARM_B, ARM_CANARY, ARM_HEADER
from generators import hosts, mesh, naming, versions
from generators.manifest import Wave
from generators.naming import MODEL
from generators.serving.gateway import host
from generators.serving.server import Objects, Served
from generators.serving.services import PORT, arm_service, canary_service, stable_service

ROUTE = "versions"  # name of the route whose weights a canary moves
_CONNECTION_ATTEMPTS = 2


def objects(served: Served) -> Objects:
    """The routes of the model's host, and how each of its Services is called."""
    model = served.model
    made: Objects = [
        (virtual_service(served), Wave.SERVICE, "serving"),
        (_arm(served, ARM_CANARY, canary_service(model)), Wave.SERVICE, "serving"),
        *((destination_rule(served, name), Wave.SERVICE, "serving") for name in _weighted(model)),
    ]
    if served.record.serving.ab:
        arm = arm_service(Served(served.tenant, served.platform, model, "b"))
        made.append((_arm(served, ARM_B, arm), Wave.SERVICE, "serving.ab"))
        made.append((destination_rule(served, arm), Wave.SERVICE, "serving.ab"))
    return made


def routing(served: Served) -> dict[str, Any]:
    """The Rollouts controller moves the weights of one route, found by the names of its two Services."""
    return {"istio": {"virtualService": {"name": served.model, "routes": [ROUTE]}}}


def virtual_service(served: Served) -> dict[str, Any]:
    """100/0 in Git, always two destinations: a lone one gets everything, whatever its weight says."""
    split = [_destination(served, name, weight) for name, weight in zip(_weighted(served.model), (100, 0), strict=True)]
    return _virtual_service(served, served.model, {"name": ROUTE, "route": split})


def destination_rule(served: Served, service: str) -> dict[str, Any]:
    """To servers of the tenant's own account alone, by mTLS; each request to the server with the fewest."""
    identity = mesh.principal(naming.serving_namespace(served.tenant.id), MODEL)
    policy = {
        "tls": {"mode": "ISTIO_MUTUAL", "subjectAltNames": [f"spiffe://{identity}"]},
        "loadBalancer": {"simple": "LEAST_REQUEST"},
        "outlierDetection": {"consecutive5xxErrors": 5, "interval": "10s", "baseEjectionTime": "30s"},
    }
    spec = {"host": _name(served, service), "exportTo": _seen_by(served), "trafficPolicy": policy}
    return _object(served, "DestinationRule", service, spec)


def _arm(served: Served, arm: str, service: str) -> dict[str, Any]:
    """All requests of one arm. The Service of the canary has the stable version's pods while there is no canary."""
    match = {"uri": {"prefix": "/v1"}, "headers": {ARM_HEADER.lower(): {"exact": arm}}}
    return _virtual_service(
        served, f"{served.model}-{arm}", {"match": [match], "route": [_destination(served, service, 100)]}
    )


def _virtual_service(served: Served, name: str, rule: dict[str, Any]) -> dict[str, Any]:
    """No timeout: answers are streamed. Tried again only where no server can have begun to answer."""
    gateway = served.platform.gateway
    retries = {"attempts": _CONNECTION_ATTEMPTS, "retryOn": "connect-failure,refused-stream"}
    spec = {
        "hosts": [host(served)],
        "gateways": [f"{gateway.namespace}/{gateway.name}"],
        "exportTo": _seen_by(served),
        "http": [{**rule, "retries": retries}],
    }
    return _object(served, "VirtualService", name, spec)


def _seen_by(served: Served) -> list[str]:
    """The gateway and the router, which call models; no proxy of another tenant is given these."""
    return [".", served.platform.gateway.namespace, naming.SYSTEM_NAMESPACE]


def _destination(served: Served, service: str, weight: int) -> dict[str, Any]:
    return {"destination": {"host": _name(served, service), "port": {"number": PORT}}, "weight": weight}


def _name(served: Served, service: str) -> str:
    """In full: a short name means one thing here and another to whoever reads it elsewhere."""
    return hosts.service(service, naming.serving_namespace(served.tenant.id))


def _weighted(model: str) -> tuple[str, str]:
    return (stable_service(model), canary_service(model))


def _object(served: Served, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "labels": naming.labels(served.tenant.id)}
    return {"apiVersion": versions.ISTIO_NETWORKING, "kind": kind, "metadata": metadata, "spec": spec}
