"""Argo CD's own side: the platform's project and Application, and a `default` project that permits nothing."""

from typing import Any

from generators import naming
from generators.cluster.addons import Turn
from generators.cluster.gpu import device_classes
from generators.foundation.delivery import (
    PLATFORM_PROJECT,
    SERVER,
    application,
    application_spec,
    project,
)
from generators.inputs.platform import Platform
from generators.manifest import Construct, Place, Wave, manifest

# Cluster-scoped kinds that the platform tree and the tenants' foundations hold; a new one is added here, in review.
CLUSTER_KINDS = (
    ("", "Namespace"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
    ("cilium.io", "CiliumClusterwideNetworkPolicy"),
    ("kueue.x-k8s.io", "ClusterQueue"),
    ("kueue.x-k8s.io", "Cohort"),
    ("kueue.x-k8s.io", "ResourceFlavor"),
    ("kueue.x-k8s.io", "WorkloadPriorityClass"),
    ("nfd.k8s-sigs.io", "NodeFeatureRule"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("scheduling.k8s.io", "PriorityClass"),
)


class PlatformArgo(Construct):
    """AppProjects `platform` and `default`, Applications `platform-ground` and `platform`."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        place = Place("delivery", naming.ARGOCD_NAMESPACE, "platform.yaml", Turn.PROJECTS)
        manifest(self, platform_project(platform), at=place)
        manifest(self, default_project(), at=place)
        place = Place("delivery", naming.ARGOCD_NAMESPACE, "platform.yaml", Turn.GROUND)
        manifest(self, ground_application(platform), at=place)
        place = Place("delivery", naming.ARGOCD_NAMESPACE, "platform.yaml", Wave.ACCESS)
        manifest(self, platform_application(platform), at=place)


def cluster_kinds(platform: Platform) -> tuple[tuple[str, str], ...]:
    """Cluster-scoped kinds that the platform's project may deliver."""
    return (*CLUSTER_KINDS, *([("resource.k8s.io", "DeviceClass")] if any(device_classes(platform)) else []))


def platform_project(platform: Platform) -> dict[str, Any]:
    """Everything but Argo CD's own kinds: who may create an Application in `argocd` is Argo CD's administrator."""
    spec = {
        "description": "Platform tree and the foundations of all tenants",
        "sourceRepos": [platform.repository],
        "sourceNamespaces": [],
        "destinations": [{"server": SERVER, "namespace": "*"}],
        "clusterResourceWhitelist": [{"group": group, "kind": kind} for group, kind in cluster_kinds(platform)],
        "namespaceResourceBlacklist": [
            {"group": "argoproj.io", "kind": kind} for kind in ("AppProject", "Application", "ApplicationSet")
        ],
        "destinationServiceAccounts": [
            {
                "server": SERVER,
                "namespace": "*",
                "defaultServiceAccount": f"{naming.ARGOCD_NAMESPACE}:argocd-application-controller",
            }
        ],
    }
    return project(PLATFORM_PROJECT, spec, labels=dict(naming.MANAGED_BY))


def default_project() -> dict[str, Any]:
    """Argo CD's `default` project permits everything unless it is replaced."""
    body = project(
        "default",
        {
            "description": "Locked: every Application names its project",
            "sourceRepos": [],
            "sourceNamespaces": [],
            "destinations": [],
            "clusterResourceWhitelist": [],
            "namespaceResourceBlacklist": [{"group": "*", "kind": "*"}],
        },
        labels=dict(naming.MANAGED_BY),
    )
    del body["metadata"]["finalizers"]  # Argo CD makes it anew; nothing may wait for its removal
    return body


def ground_application(platform: Platform) -> dict[str, Any]:
    """What add-ons need before they run. It holds built-in kinds alone, since no other is there yet."""
    path = f"{naming.platform_folder(platform.cluster)}/{naming.GROUND}"
    spec = application_spec(PLATFORM_PROJECT, path=path, platform=platform)
    return application("platform-ground", spec, labels=dict(naming.MANAGED_BY))


def platform_application(platform: Platform) -> dict[str, Any]:
    """The platform tree without its delivery folder, which the root Application syncs."""
    path = f"{naming.platform_folder(platform.cluster)}/foundation"
    spec = application_spec(PLATFORM_PROJECT, path=path, platform=platform)
    return application("platform", spec, labels=dict(naming.MANAGED_BY))
