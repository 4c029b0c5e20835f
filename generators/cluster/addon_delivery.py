"""How Argo CD delivers add-ons: their project, an Application for each, and the namespaces that they run in."""

from typing import Any

from generators import naming
from generators.cluster import services
from generators.cluster.addons import GPU_NAMESPACE, SYSTEM, Addon, Turn, addons
from generators.foundation.delivery import APPLY, SERVER, application, project
from generators.foundation.namespaces import namespace
from generators.inputs.platform import Platform
from generators.manifest import Construct, Place, Wave, manifest

PROJECT = "addons"
RELEASE = f"{naming.PREFIX}/release"  # annotation: whose chart it is, and which
_LABELS = dict(naming.MANAGED_BY)
_LEVELS = tuple(f"pod-security.kubernetes.io/{mode}" for mode in ("enforce", "audit", "warn"))


class PlatformAddons(Construct):
    """AppProject `addons`, one Application for each add-on, and their namespaces."""

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
    spec: dict[str, Any] = {
        "project": PROJECT,
        "source": source,
        "destination": {"server": SERVER, "namespace": addon.namespace},
        "syncPolicy": {
            "automated": {"enabled": True, "prune": True, "selfHeal": True, "allowEmpty": False},
            "retry": {"limit": 10, "refresh": True, "backoff": {"duration": "10s", "factor": 2, "maxDuration": "5m"}},
            "syncOptions": [*APPLY, "Prune=confirm"],
        },
    }
    if addon.written:
        spec["ignoreDifferences"] = list(addon.written)
        spec["syncPolicy"]["syncOptions"].append("RespectIgnoreDifferences=true")
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
