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
from generators.cluster import gpu, kueue, operators, prometheus, rollouts, services, workflows
from generators.cluster import mesh as istio
from generators.foundation.delivery import APPLY, SERVER, application, project
from generators.foundation.namespaces import namespace
from generators.inputs.platform import Platform
from generators.manifest import Construct, Place, Wave, manifest

PROJECT = "addons"
RELEASE = f"{naming.PREFIX}/release"  # annotation: whose chart it is, and which
SYSTEM = "kube-system"  # of the cluster itself; privileged
GPU_NAMESPACE = "gpu-operator"
_LABELS = dict(naming.MANAGED_BY)
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
    """

    name: str
    namespace: str
    turn: Turn
    brings: tuple[str, ...] = ()
    values: Values | None = None
    files: str = ""
    release: str = ""
    also: tuple[str, ...] = ()


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
        "strimzi",
        "strimzi",
        Turn.OPERATORS,
        ("kafka.strimzi.io", "core.strimzi.io"),
        _same(operators.strimzi),
        also=(naming.BROKER_NAMESPACE,),
    ),
    Addon("trainer", "kubeflow-system", Turn.DEPENDENTS, ("trainer.kubeflow.org",), _same(operators.trainer)),
)
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
        Addon("istio-base", control, Turn.KINDS, kinds, _same(operators.unchanged)),
        Addon("istiod", control, Turn.OPERATORS, values=_same(istio.istiod_values)),
        Addon("istio-cni", SYSTEM, Turn.OPERATORS, values=_same(operators.unchanged)),
        Addon(
            "istio-gateway",
            entrance.namespace,
            Turn.GUESTS,
            values=_same(istio.gateway_values),
            release=entrance.name,
        ),
    )


class PlatformAddons(Construct):
    """AppProject `addons`, one Application for each add-on, one for what they need first, and their namespaces."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        made, locks = addons(platform), "charts.lock"
        at = Place("delivery", naming.ARGOCD_NAMESPACE, locks, Turn.PROJECTS)
        manifest(self, addons_project(made, platform), at=at)
        for addon in made:
            at = Place("delivery", naming.ARGOCD_NAMESPACE, f"{locks} {addon.name}", addon.turn)
            manifest(self, addon_application(addon, platform), at=at)
        for body in namespaces(made, platform):
            manifest(self, body, at=Place(naming.GROUND, None, locks, Wave.NAMESPACE))


def addons_project(made: tuple[Addon, ...], platform: Platform) -> dict[str, Any]:
    """These charts and no other source, into their namespaces and no others; cluster-wide the kinds of operators."""
    places = sorted({name for addon in made for name in (addon.namespace, *addon.also)})
    account = f"{naming.ARGOCD_NAMESPACE}:argocd-application-controller"
    spec = {
        "description": "Charts that the cluster consists of",
        "sourceRepos": sorted(platform.chart(addon.name).url for addon in made),
        "sourceNamespaces": [],
        "destinations": [{"server": SERVER, "namespace": name} for name in places],
        "clusterResourceWhitelist": [{"group": group, "kind": kind} for group, kind in CLUSTER_KINDS],
        "namespaceResourceBlacklist": [
            {"group": "argoproj.io", "kind": kind} for kind in ("AppProject", "Application", "ApplicationSet")
        ],
        "destinationServiceAccounts": [
            {"server": SERVER, "namespace": name, "defaultServiceAccount": account} for name in places
        ],
    }
    return project(PROJECT, spec, labels=_LABELS)


# Cluster-wide kinds that charts hold; operators make others themselves. No Namespace: those are rendered.
CLUSTER_KINDS = (
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("apiregistration.k8s.io", "APIService"),
    ("nvidia.com", "ClusterPolicy"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("resource.k8s.io", "DeviceClass"),
)


def addon_application(addon: Addon, platform: Platform) -> dict[str, Any]:
    """The Application. Nothing goes unasked: a kind that goes takes every object of it along, in every tenant.

    So an object that a new chart lacks waits for a person, and an Application that goes leaves its add-on running.
    """
    chart = platform.chart(addon.name)
    source = {"repoURL": chart.url, "targetRevision": chart.revision, "path": ".", **_rendered(addon, platform)}
    spec = {
        "project": PROJECT,
        "source": source,
        "destination": {"server": SERVER, "namespace": addon.namespace},
        "syncPolicy": {
            "automated": {"enabled": True, "prune": True, "selfHeal": True, "allowEmpty": False},
            "retry": {"limit": 10, "refresh": True, "backoff": {"duration": "10s", "factor": 2, "maxDuration": "5m"}},
            "syncOptions": [*APPLY, "Prune=confirm"],
        },
    }
    body = application(f"addon-{addon.name}", spec, labels=_LABELS)
    body["metadata"]["annotations"] = {
        "argocd.argoproj.io/compare-options": "ServerSideDiff=true",
        RELEASE: chart.source,
    }
    del body["metadata"]["finalizers"]
    return body


def _rendered(addon: Addon, platform: Platform) -> dict[str, Any]:
    if addon.values is None:
        return {"directory": {"include": addon.files}}
    helm: dict[str, Any] = {"releaseName": addon.release or addon.name}
    if values := addon.values(platform):
        helm["valuesObject"] = values
    return {"helm": helm}


def namespaces(made: tuple[Addon, ...], platform: Platform) -> list[dict[str, Any]]:
    """Of add-ons alone; the platform's own namespaces, which some share, are services.py's.

    All under `restricted` but the GPU operator's: its pods load a kernel module, write the container runtime's
    configuration and open every GPU of the node.
    """
    others = {SYSTEM, platform.gateway.namespace, *services.ACCOUNTS}
    names = sorted({addon.namespace for addon in made} - others)
    found = []
    for name in names:
        body = namespace(name, plane="system", labels=naming.MANAGED_BY)
        if name == GPU_NAMESPACE:
            body["metadata"]["labels"] |= dict.fromkeys(_LEVELS, "privileged")
        found.append(body)
    return found


_LEVELS = tuple(f"pod-security.kubernetes.io/{mode}" for mode in ("enforce", "audit", "warn"))
