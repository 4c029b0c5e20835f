"""What divides requests between versions: platform.yaml trafficRouter chooses, here and nowhere else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from generators.serving import gateway, istio
from generators.serving.server import Objects, Served


@dataclass(frozen=True)
class Router:
    """One way to divide requests.

    objects: what stands in `<tenant>-serve` for one model.
    routing: `trafficRouting` of its Rollout, strategy canary.
    """

    objects: Callable[[Served], Objects]
    routing: Callable[[Served], dict[str, Any]]


_ROUTERS = {
    "gatewayApi": Router(gateway.objects, gateway.routing),
    "istio": Router(istio.objects, istio.routing),
}


def router(served: Served) -> Router:
    return _ROUTERS[served.platform.traffic_router]
