"""The way in: the Gateway that every route attaches to, and the hosts of our own services."""

from typing import Any

from app.contract.internal import INGEST_PORT
from generators import naming, versions
from generators.foundation.storage import external_secret
from generators.inputs.platform import Platform
from generators.manifest import Construct, Place, Wave, manifest

CLASS = "cilium"
CERTIFICATE = "gateway-tls"
API, PORTAL = "api", "portal"  # hosts below the platform's domain; a model's host is two labels longer
# One base URL for fine-tuning and for asking models: these go to the router, all else to ingest.
ASKING_MODELS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")


class PlatformGateway(Construct):
    """Gateway, its certificate, HTTPRoutes `api` and `portal`; of traffic router `gatewayApi` alone."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        if platform.traffic_router != "gatewayApi":
            return
        source = "platform.yaml gateway"
        at = Place("foundation", platform.gateway.namespace, source, Wave.CONFIG)
        manifest(self, certificate(), at=at)
        at = Place("foundation", platform.gateway.namespace, source, Wave.SERVICE)
        manifest(self, gateway(platform), at=at)
        for body in routes(platform):
            manifest(self, body, at=Place("foundation", naming.SYSTEM_NAMESPACE, "platform.yaml domain", Wave.SERVICE))


def gateway(platform: Platform) -> dict[str, Any]:
    """HTTPS only, for names below the domain, from namespaces that the platform labelled."""
    planes = {"key": naming.PLANE_LABEL, "operator": "In", "values": ["serve", "system"]}
    listener = {
        "name": "https",
        "protocol": "HTTPS",
        "port": 443,
        "hostname": f"*.{platform.domain}",
        "tls": {"mode": "Terminate", "certificateRefs": [{"name": CERTIFICATE}]},
        "allowedRoutes": {
            "kinds": [{"kind": "HTTPRoute"}],
            "namespaces": {"from": "Selector", "selector": {"matchExpressions": [planes]}},
        },
    }
    return {
        "apiVersion": versions.GATEWAY,
        "kind": "Gateway",
        "metadata": {"name": platform.gateway.name, "labels": dict(naming.MANAGED_BY)},
        "spec": {"gatewayClassName": CLASS, "listeners": [listener]},
    }


def certificate() -> dict[str, Any]:
    """For the domain's names; a wildcard covers one label, so it lists each tenant's `*.<tenant>.<domain>` too."""
    body = dict(
        external_secret(CERTIFICATE, "platform/gateway", keys=("tls.crt", "tls.key"), labels=dict(naming.MANAGED_BY))
    )
    target = {**body["spec"]["target"], "template": {"type": "kubernetes.io/tls"}}
    return {**body, "spec": {**body["spec"], "target": target}}


def routes(platform: Platform) -> list[dict[str, Any]]:
    """Longer prefixes win, so the order of rules decides nothing."""
    asking = {"matches": [_prefix(path) for path in ASKING_MODELS], "backendRefs": [_backend("router")]}
    rest = {"matches": [_prefix("/")], "backendRefs": [_backend("ingest")]}
    portal = {"matches": [_prefix("/")], "backendRefs": [_backend("portal")]}
    return [_route(API, [asking, rest], platform), _route(PORTAL, [portal], platform)]


def host(name: str, platform: Platform) -> str:
    return f"{name}.{platform.domain}"


def _route(name: str, rules: list[dict[str, Any]], platform: Platform) -> dict[str, Any]:
    parent = {"name": platform.gateway.name, "namespace": platform.gateway.namespace}
    return {
        "apiVersion": versions.GATEWAY,
        "kind": "HTTPRoute",
        "metadata": {"name": name, "labels": dict(naming.MANAGED_BY)},
        "spec": {"parentRefs": [parent], "hostnames": [host(name, platform)], "rules": rules},
    }


def _prefix(path: str) -> dict[str, Any]:
    return {"path": {"type": "PathPrefix", "value": path}}


def _backend(service: str) -> dict[str, Any]:
    return {"group": "", "kind": "Service", "name": service, "port": INGEST_PORT, "weight": 1}
