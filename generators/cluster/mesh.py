"""Istio on the platform: the one entrance, the policies of its pods, the values that Istio is installed with."""

from typing import Any

from app.contract.internal import INGEST_PORT, MODEL_PORT
from generators import mesh, naming, policies, versions
from generators.cluster import gateway
from generators.cluster.flows import LABELS, MODELS, rule
from generators.foundation.rbac import service_account
from generators.inputs.platform import Platform
from generators.manifest import Body, Construct, Place, Wave, manifest
from generators.policies import from_entity, pods, resolve, to_pods


class PlatformMesh(Construct):
    """Gateway, its certificate, account and policies, hosts of our own services; only with Istio."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        if not mesh.is_used(platform):
            return
        namespace, source = platform.gateway.namespace, "platform.yaml gateway"
        made = [
            (service_account(platform.gateway.name, labels=dict(LABELS)), Wave.ACCESS),
            *((body, Wave.POLICY) for body in (policies.default_deny(LABELS), *entrance_policies(platform))),
            (gateway.certificate(), Wave.CONFIG),
            (entrance(platform), Wave.SERVICE),
        ]
        for body, wave in made:
            manifest(self, body, at=Place("foundation", namespace, source, wave))
        for body in virtual_services(platform):
            at = Place("foundation", naming.SYSTEM_NAMESPACE, "platform.yaml domain", Wave.SERVICE)
            manifest(self, body, at=at)


def entrance(platform: Platform) -> dict[str, Any]:
    """HTTPS only, for names below the domain. Its pods carry the label that the chart makes of the release's name."""
    server = {
        "hosts": [f"*.{platform.domain}"],
        "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
        "tls": {"mode": "SIMPLE", "credentialName": gateway.CERTIFICATE, "minProtocolVersion": "TLSV1_2"},
    }
    spec = {"selector": {"istio": platform.gateway.name}, "servers": [server]}
    return _object("Gateway", platform.gateway.name, spec)


def virtual_services(platform: Platform) -> list[dict[str, Any]]:
    """Hosts `api` and `portal`, as the HTTPRoutes of the other traffic router have them."""
    asking = [{"uri": {"prefix": path}} for path in gateway.ASKING_MODELS]
    api = [{"match": asking, "route": [_destination("router")]}, {"route": [_destination("ingest")]}]
    return [
        _virtual_service(gateway.API, api, platform),
        _virtual_service(gateway.PORTAL, [{"route": [_destination("portal")]}], platform),
    ]


def entrance_policies(platform: Platform) -> list[Body]:
    """The ingress gateway's pods: the world asks them, they ask our services and model servers."""
    ours = pods(naming.SYSTEM_NAMESPACE, "ingest", "portal", "router")
    ports = mesh.GATEWAY_PORTS
    name = platform.gateway.name
    return [
        rule("dns", name, egress=[resolve(platform, mesh.CONTROL_NAMES)]),
        rule(
            "gateway",
            name,
            ingress=[
                from_entity("world", *ports),
                policies.from_pods([pods(naming.SYSTEM_NAMESPACE, "router")], *ports),
            ],
            egress=[to_pods([ours], INGEST_PORT), to_pods([MODELS], MODEL_PORT), mesh.control()],
        ),
    ]


def istiod_values(platform: Platform) -> dict[str, Any]:
    """Values of chart `istiod` that the rendered objects rely on, and Pod Security `restricted` for its own pod.

    Both images of an injected pod are one, whole references: admission takes a tenant's pod by digest alone, and what
    istiod makes of hub and tag has none (its files/injection-template.yaml takes a value with a slash as it is).
    """
    image = {"image": platform.image("istioproxy")}
    return {
        "global": {"proxy": dict(image), "proxy_init": dict(image)},
        "meshConfig": {
            "accessLogFile": "",
            "enablePrometheusMerge": True,
            "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
            "trustDomain": "cluster.local",
        },
        "pilot": {"cni": {"enabled": True}, "seccompProfile": {"type": "RuntimeDefault"}},
        "sidecarInjectorWebhook": {"rewriteAppHTTPProbe": True},
    }


def gateway_values() -> dict[str, Any]:
    """Values of chart `gateway`: its account is ours.

    The sysctl opens ports 80 and 443 to a user that is not root; the chart sets it unless a security context is given.
    """
    unprivileged = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}
    return {
        "serviceAccount": {"create": False},
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, "sysctls": [unprivileged]},
    }


def _virtual_service(name: str, rules: list[dict[str, Any]], platform: Platform) -> dict[str, Any]:
    spec = {
        "hosts": [gateway.host(name, platform)],
        "gateways": [f"{platform.gateway.namespace}/{platform.gateway.name}"],
        "exportTo": [".", platform.gateway.namespace],
        "http": rules,
    }
    return _object("VirtualService", name, spec)


def _destination(service: str) -> dict[str, Any]:
    host = f"{service}.{naming.SYSTEM_NAMESPACE}.svc.cluster.local"
    return {"destination": {"host": host, "port": {"number": INGEST_PORT}}}


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "labels": dict(LABELS)}
    return {"apiVersion": versions.ISTIO_NETWORKING, "kind": kind, "metadata": metadata, "spec": spec}
