"""What divides requests between versions: platform.yaml trafficRouter chooses, here and nowhere else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from generators.serving import gateway, istio
from generators.serving.server import Objects, Served


@dataclass(frozen=True)
class Router:
    """One way to divide requests.

    objects: what stands in `<tenant>-serve` for one model.
    routing: `trafficRouting` of its Rollout, strategy canary.
    annotations: of its pods.
    """

    objects: Callable[[Served], Objects]
    routing: Callable[[Served], dict[str, Any]]
    annotations: Mapping[str, str] = field(default_factory=dict)

    def annotated(self, template: dict[str, Any]) -> dict[str, Any]:
        """A pod template with what its proxy has to know."""
        if not self.annotations:
            return template
        return {**template, "metadata": {**template["metadata"], "annotations": dict(self.annotations)}}


_ROUTERS = {
    "gatewayApi": Router(gateway.objects, gateway.routing),
    "istio": Router(istio.objects, istio.routing, istio.POD_ANNOTATIONS),
}


def router(served: Served) -> Router:
    return _ROUTERS[served.platform.traffic_router]
