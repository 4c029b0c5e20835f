"""Istio's fixed points, where platform.yaml says trafficRouter istio: where its parts stand, what proxies ask for.

Istio with sidecars and its CNI plugin. Sidecars, because a rate limit per server is theirs alone; the plugin, because
without it each pod has an init container with NET_ADMIN, which `restricted` refuses. Serving namespaces are injected.
Training namespaces are not: nobody calls a job, and a sidecar that goes on keeps a Job from ending.
"""

from typing import Any

from app.contract.internal import MODEL_PORT
from generators import hosts
from generators.inputs.platform import Platform
from generators.manifest import Body
from generators.policies import from_pods, pods, to_pods

CONTROL_NAMESPACE, CONTROL_ACCOUNT = "istio-system", "istiod"
CONTROL_PORT = 15012  # configuration and certificates, over TLS
METRICS_PORT = 15020  # the sidecar's agent shows the server's metrics beside its own, outside of mTLS
METRICS_PATH = "/stats/prometheus"
GATEWAY_PORTS = (80, 443)  # listeners of the ingress gateway's pods
INJECTION_LABEL = "istio-injection"

# The agent asks for the short form, and for the full one by the resolver's last search domain.
CONTROL_NAMES = (f"{CONTROL_ACCOUNT}.{CONTROL_NAMESPACE}.svc", hosts.service(CONTROL_ACCOUNT, CONTROL_NAMESPACE))

# No outbound capture: a server calls the object store and nothing in the mesh, and its init containers run before
# the sidecar does. Requests equal to limits, as the quota counts them.
SERVER_ANNOTATIONS = {
    "prometheus.io/path": "/metrics",
    "prometheus.io/port": str(MODEL_PORT),
    "prometheus.io/scrape": "true",  # the sidecar's agent merges the server's metrics into its own
    "sidecar.istio.io/proxyCPU": "250m",
    "sidecar.istio.io/proxyCPULimit": "250m",
    "sidecar.istio.io/proxyMemory": "256Mi",
    "sidecar.istio.io/proxyMemoryLimit": "256Mi",
    "traffic.sidecar.istio.io/includeOutboundIPRanges": "",
}


def is_used(platform: Platform) -> bool:
    return platform.traffic_router == "istio"


def gateway_pods(platform: Platform) -> Body:
    """The ingress gateway: its chart's release, and so its account, has the name of the Gateway."""
    return pods(platform.gateway.namespace, platform.gateway.name)


def principal(namespace: str, account: str) -> str:
    """A workload as mTLS attests it."""
    return f"cluster.local/ns/{namespace}/sa/{account}"


def gateway_principal(platform: Platform) -> str:
    return principal(platform.gateway.namespace, platform.gateway.name)


def control() -> Body:
    """Egress that every proxy needs."""
    return to_pods([pods(CONTROL_NAMESPACE, CONTROL_ACCOUNT)], CONTROL_PORT)


def entrance(platform: Platform, *ports: int) -> Body:
    """Ingress of what the ingress gateway asks."""
    return from_pods([gateway_pods(platform)], *ports)


def profile(platform: Platform) -> dict[str, Any]:
    """What the judge must know of the mesh."""
    return {
        "gateway": {"namespace": platform.gateway.namespace, "account": platform.gateway.name},
        "control": {"namespace": CONTROL_NAMESPACE, "account": CONTROL_ACCOUNT},
    }
