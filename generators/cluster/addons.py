"""The add-ons of a cluster: what runs there that is not ours, each one Argo CD Application of a locked chart.

An add-on is there because an object of the tree is of its kind, or because platform.yaml asks for it. Tenants choose
among the others by their files, and no file of the platform depends on a tenant (DESIGN D2), so those are always there.

Cilium is none of them. It runs before Argo CD can, and how its pods get addresses is the machines' own affair: an
Application would set that back to the chart's defaults. The guide installs it from charts.lock with our values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from generators import mesh, naming
from generators.cluster import gpu, kueue, operators, prometheus, rollouts, workflows
from generators.cluster import mesh as istio
from generators.inputs.platform import Platform

SYSTEM = "kube-system"  # of the cluster itself; privileged
GPU_NAMESPACE = "gpu-operator"
Values = Callable[[Platform], dict[str, Any]]


class Turn(IntEnum):
    """Argo CD sync waves of the Applications, from what others rest on; the platform tree is wave -20, tenants from 0.

    A wave waits until the Applications of the one before are synced and have started (argocd/settings.yaml).
    """

    PROJECTS = -60
    GROUND = -50  # namespaces, accounts, settings
    KINDS = -45
    OPERATORS = -40
    DEPENDENTS = -35  # ask for kinds of other operators when they start
    GUESTS = -10  # run in namespaces and under accounts of the platform tree


@dataclass(frozen=True)
class Addon:
    """One chart of charts.lock.

    brings: API groups, or `group/Kind` where several add-ons share a group.
    values: None for a folder of plain YAML, of which `files` are applied.
    release: the Helm release, if not the add-on's name.
    also: further namespaces that the chart writes to.
    written: what its controllers change in objects of the chart, as Argo CD's ignoreDifferences.
    """

    name: str
    namespace: str
    turn: Turn
    brings: tuple[str, ...] = ()
    values: Values | None = None
    files: str = ""
    release: str = ""
    also: tuple[str, ...] = ()
    written: tuple[dict[str, Any], ...] = ()


def addons(platform: Platform) -> tuple[Addon, ...]:
    """Those of this platform, in the order of their waves."""
    chosen = (*_ALWAYS, *_claims(platform), *(_mesh(platform) if mesh.is_used(platform) else _ROUTES))
    return tuple(sorted(chosen, key=lambda addon: (addon.turn, addon.name)))


def _same(values: Callable[[], dict[str, Any]]) -> Values:
    """Values that no platform changes."""
    return lambda _platform: values()


_ROLLOUTS = tuple(
    f"argoproj.io/{kind}"
    for kind in ("AnalysisRun", "AnalysisTemplate", "ClusterAnalysisTemplate", "Experiment", "Rollout")
)
_WORKFLOWS = tuple(
    f"argoproj.io/{kind}" for kind in ("ClusterWorkflowTemplate", "CronWorkflow", "Workflow", "WorkflowTemplate")
)
_ALWAYS = (
    Addon("argo-workflows-crds", naming.WORKFLOWS_NAMESPACE, Turn.KINDS, _WORKFLOWS, files="argoproj.io_*.yaml"),
    Addon("argo-workflows", naming.WORKFLOWS_NAMESPACE, Turn.OPERATORS, values=workflows.chart_values),
    Addon("argo-rollouts-crds", rollouts.NAMESPACE, Turn.KINDS, _ROLLOUTS, files="*-crd.yaml"),
    Addon("argo-rollouts", rollouts.NAMESPACE, Turn.OPERATORS, values=rollouts.chart_values),
    Addon(
        "external-secrets",
        "external-secrets",
        Turn.OPERATORS,
        ("external-secrets.io",),
        _same(operators.external_secrets),
    ),
    Addon("gpu-operator", GPU_NAMESPACE, Turn.OPERATORS, ("nfd.k8s-sigs.io", "nvidia.com"), gpu.operator_values),
    Addon("jobset", "jobset-system", Turn.OPERATORS, ("jobset.x-k8s.io",), _same(operators.unchanged)),
    Addon("keda", "keda", Turn.OPERATORS, ("keda.sh",), _same(operators.keda), also=(SYSTEM,)),
    Addon(
        "kuberay",
        "kuberay-system",
        Turn.OPERATORS,
        ("ray.io",),
        _same(operators.unchanged),
        release="kuberay-operator",
    ),
    Addon("kueue", "kueue-system", Turn.DEPENDENTS, ("kueue.x-k8s.io",), kueue.chart_values, also=(SYSTEM,)),
    Addon(
        "prometheus",
        naming.MONITORING_NAMESPACE,
        Turn.KINDS,  # operators come with monitors of their own
        ("monitoring.coreos.com",),
        _same(prometheus.chart_values),
    ),
    Addon(
        prometheus.ADAPTER,
        prometheus.ADAPTER,
        Turn.OPERATORS,
        values=_same(prometheus.adapter_values),
        also=(SYSTEM,),
    ),
    Addon(
        "strimzi",
        "strimzi",
        Turn.OPERATORS,
        ("kafka.strimzi.io", "core.strimzi.io"),
        _same(operators.strimzi),
        also=(naming.BROKER_NAMESPACE,),
    ),
    Addon("trainer", "kubeflow-system", Turn.DEPENDENTS, ("trainer.kubeflow.org",), _same(operators.trainer)),
)
# Istio's webhook lets everything pass until istiod answers, which then makes it refuse.
_CLOSED_LATER = {
    "group": "admissionregistration.k8s.io",
    "kind": "ValidatingWebhookConfiguration",
    "jqPathExpressions": [".webhooks[].failurePolicy"],
}
_ROUTES = (
    Addon("gateway-api", SYSTEM, Turn.KINDS, ("gateway.networking.k8s.io",), files="gateway.networking.k8s.io_*.yaml"),
)


def _claims(platform: Platform) -> tuple[Addon, ...]:
    """The driver of claimed devices, where a flavor has a device class."""
    if not any(flavor.device_class for flavor in platform.gpu_flavors.values()):
        return ()
    return (Addon("dra-driver", GPU_NAMESPACE, Turn.DEPENDENTS, values=gpu.driver_values),)


def _mesh(platform: Platform) -> tuple[Addon, ...]:
    """Istio with sidecars. Its network plugin is privileged; the gateway's release has the Gateway's name."""
    kinds = ("networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io")
    control, entrance = mesh.CONTROL_NAMESPACE, platform.gateway
    return (
        Addon("istio-base", control, Turn.KINDS, kinds, _same(operators.unchanged), written=(_CLOSED_LATER,)),
        Addon("istiod", control, Turn.OPERATORS, values=istio.istiod_values, written=(_CLOSED_LATER,)),
        Addon("istio-cni", SYSTEM, Turn.OPERATORS, values=_same(operators.unchanged)),
        Addon(
            "istio-gateway",
            entrance.namespace,
            Turn.GUESTS,
            values=_same(istio.gateway_values),
            release=entrance.name,
        ),
    )
