"""Kinds that a tenant's own Application brings, by namespace: its project allows these, its deployer writes these.

One list for both, so that neither is wider. It holds a kind for every option, taken or not: an object whose option is
gone is still to be pruned.
"""

from dataclasses import dataclass
from itertools import groupby

from generators.inputs.platform import Platform


@dataclass(frozen=True, order=True)
class Kind:
    """group: API group, empty for the core's. resource: the plural that RBAC knows."""

    group: str
    kind: str
    resource: str


TRAINING = (
    Kind("argoproj.io", "CronWorkflow", "cronworkflows"),
    Kind("argoproj.io", "WorkflowTemplate", "workflowtemplates"),
)
_SERVING = (
    Kind("", "ConfigMap", "configmaps"),
    Kind("", "Service", "services"),
    Kind("argoproj.io", "AnalysisTemplate", "analysistemplates"),
    Kind("argoproj.io", "Experiment", "experiments"),
    Kind("argoproj.io", "Rollout", "rollouts"),
    Kind("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    Kind("keda.sh", "ScaledObject", "scaledobjects"),
    Kind("monitoring.coreos.com", "PodMonitor", "podmonitors"),
    Kind("monitoring.coreos.com", "PrometheusRule", "prometheusrules"),
    Kind("policy", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("ray.io", "RayService", "rayservices"),
)
_ROUTING = {
    "gatewayApi": (Kind("gateway.networking.k8s.io", "HTTPRoute", "httproutes"),),
    "istio": (
        Kind("networking.istio.io", "DestinationRule", "destinationrules"),
        Kind("networking.istio.io", "VirtualService", "virtualservices"),
    ),
}


def serving(platform: Platform) -> tuple[Kind, ...]:
    """Of `<tenant>-serve`, with the kinds of the platform's traffic router."""
    return (*_SERVING, *routing(platform))


def routing(platform: Platform) -> tuple[Kind, ...]:
    """What divides requests between versions."""
    return _ROUTING[platform.traffic_router]


def by_group(kinds: tuple[Kind, ...]) -> dict[str, list[str]]:
    """API group -> resources, as RBAC rules have them."""
    return {
        group: [each.resource for each in found] for group, found in groupby(sorted(kinds), lambda kind: kind.group)
    }
