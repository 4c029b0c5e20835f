"""Argo Rollouts: values of its chart, and the plugin by which it sets weights of HTTPRoutes.

The plugin comes out of an image by digest and is started from a file: an address on the network would be asked at every
start, without a checksum, and the controller does not run while it is away. Releases from 0.11 on stay in the Rollout's
own namespace unless told otherwise, and admission refuses to be told otherwise.
"""

from typing import Any

from generators import mesh, restricted, versions
from generators.inputs.platform import Platform

NAMESPACE, ACCOUNT = "argo-rollouts", "argo-rollouts"
PLUGIN = "argoproj-labs/gatewayAPI"
_BINARY, _FOLDER = "rollouts-plugin-trafficrouter-gatewayapi", "/plugins"
_USER = 999  # of both images


def chart_values(platform: Platform) -> dict[str, Any]:
    """Values of chart `argo-rollouts`.

    No dashboard: in the cluster it has no login and may change every Rollout (DESIGN D26). The aggregate roles would
    let `edit` of any namespace promote. The controller's own rights are those of the one router in use.
    """
    istio = mesh.is_used(platform)
    routers = dict.fromkeys(_OTHER_ROUTERS, False) | {"istio": istio, "gatewayAPI": not istio}
    controller = {
        "image": {"tag": f"v{versions.ARGO_ROLLOUTS_RELEASE}"},
        "metrics": {"enabled": True, "serviceMonitor": {"enabled": True}},
        **({} if istio else _plugin(platform)),
    }
    return {
        "fullnameOverride": ACCOUNT,
        "installCRDs": False,  # of another release there; they are an add-on of their own
        "createClusterAggregateRoles": False,
        "serviceAccount": {"name": ACCOUNT},
        "controller": controller,
        "providerRBAC": {"enabled": True, "providers": routers},
        "dashboard": {"enabled": False},
    }


_OTHER_ROUTERS = (
    "ambassador",
    "apisix",
    "awsAppMesh",
    "awsLoadBalancerController",
    "contour",
    "glooPlatform",
    "smi",
    "traefik",
)


def _plugin(platform: Platform) -> dict[str, Any]:
    """Copied by an init container into a folder that the controller has too."""
    volume, mount = restricted.scratch("plugins", _FOLDER, size="256Mi")
    copy = {
        "name": "gateway-plugin",
        "image": platform.image("gatewayplugin"),
        "command": ["cp", f"/bin/{_BINARY}", f"{_FOLDER}/{_BINARY}"],
        "securityContext": {**restricted.CONTAINER_SECURITY, "runAsNonRoot": True, "runAsUser": _USER},
        "resources": restricted.resources("100m", "64Mi"),
        "volumeMounts": [mount],
    }
    return {
        "initContainers": [copy],
        "volumes": [volume],
        "volumeMounts": [mount],
        "trafficRouterPlugins": [{"name": PLUGIN, "location": f"file://{_FOLDER}/{_BINARY}"}],
    }
