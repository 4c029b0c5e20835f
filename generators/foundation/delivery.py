"""How Argo CD delivers a tenant: its project and two Applications (DESIGN D3). They stand in `argocd`."""

from typing import Any

from generators import naming, versions
from generators.foundation import delivered
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from generators.manifest import Construct, Place, Wave, manifest

SERVER = "https://kubernetes.default.svc"
MAIN = "refs/heads/main"  # fully qualified: resolved without listing branches
# Argo CD matches the path below the folder, and without separators, so the star spans folders (argo-cd 3.5, util/glob).
# Else it would load .json and .jsonnet too, which nothing renders.
RENDERED_FILES = "*.yaml"
PLATFORM_PROJECT = "platform"

FINALIZER = "resources-finalizer.argocd.argoproj.io"
# Kinds that decide who may do what; a tenant's own project delivers none of them.
ISOLATION_KINDS = (
    ("", "LimitRange"),
    ("", "Namespace"),
    ("", "ResourceQuota"),
    ("", "Secret"),
    ("", "ServiceAccount"),
    ("argoproj.io", "AppProject"),
    ("argoproj.io", "Application"),
    ("argoproj.io", "ApplicationSet"),
    ("cilium.io", "*"),
    ("kueue.x-k8s.io", "*"),
    ("extensions.istio.io", "*"),
    ("networking.istio.io", "EnvoyFilter"),
    ("networking.istio.io", "Gateway"),
    ("networking.istio.io", "ProxyConfig"),
    ("networking.istio.io", "ServiceEntry"),
    ("networking.istio.io", "Sidecar"),
    ("networking.istio.io", "WorkloadEntry"),
    ("networking.istio.io", "WorkloadGroup"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("rbac.authorization.k8s.io", "*"),
    ("security.istio.io", "*"),
    ("telemetry.istio.io", "*"),
)
PROMOTION = ("resume", "abort")  # Argo CD's actions on a Rollout that change what admission lets owners change
APPLY = ("ServerSideApply=true", "ApplyOutOfSyncOnly=true", "FailOnSharedResource=true", "CreateNamespace=false")


class TenantDelivery(Construct):
    """AppProject `<tenant>`, Applications `<tenant>-foundation` and `<tenant>-workloads`."""

    def __init__(self, scope: Construct, construct_id: str, *, tenant: Tenant, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        place = Place("delivery", naming.ARGOCD_NAMESPACE, tenant.key(""), Wave.CONFIG)
        manifest(self, tenant_project(tenant.id, platform), at=place)
        place = Place("delivery", naming.ARGOCD_NAMESPACE, tenant.key(""), Wave.SERVICE)
        manifest(self, foundation(tenant.id, platform), at=place)
        place = Place("delivery", naming.ARGOCD_NAMESPACE, tenant.key(""), Wave.ROLLOUT)
        manifest(self, workloads(tenant.id, platform), at=place)


def tenant_project(tenant: str, platform: Platform) -> dict[str, Any]:
    """Exact destinations, no cluster kind, the delivered kinds alone, applied as the tenant's own deployer.

    What controllers make of those (ReplicaSets, AnalysisRuns) is not on the list, so Argo CD's page does not show it.
    """
    namespaces = (naming.training_namespace(tenant), naming.serving_namespace(tenant))
    spec = {
        "description": f"Workloads of tenant {tenant}",
        "sourceRepos": [platform.repository],
        "sourceNamespaces": [],
        "destinations": [{"server": SERVER, "namespace": namespace} for namespace in namespaces],
        "clusterResourceWhitelist": [],
        "namespaceResourceWhitelist": [
            {"group": each.group, "kind": each.kind} for each in (*delivered.TRAINING, *delivered.serving(platform))
        ],
        "namespaceResourceBlacklist": [{"group": group, "kind": kind} for group, kind in ISOLATION_KINDS],
        "roles": [promoter(tenant)],
        # chosen by the Application's destination, so one account applies both namespaces (argo-cd controller/sync.go)
        "destinationServiceAccounts": [
            {
                "server": SERVER,
                "namespace": naming.serving_namespace(tenant),
                "defaultServiceAccount": f"{naming.serving_namespace(tenant)}:{naming.DEPLOYER}",
            }
        ],
    }
    return project(tenant, spec, labels=naming.labels(tenant))


def promoter(tenant: str) -> dict[str, Any]:
    """What owners may do in Argo CD: look on, end a pause, abort. No `promote-full`, `retry` or `restart`, no token.

    An action changes the Rollout as the tenant's deployer, so admission holds it to the same bounds as an owner.
    """
    actions = ("get", *(f"action/argoproj.io/Rollout/{action}" for action in PROMOTION))
    return {
        "name": "promoter",
        "description": f"Owners of tenant {tenant}",
        "groups": [naming.owners_group(tenant)],
        "policies": [f"p, proj:{tenant}:promoter, applications, {action}, {tenant}/*, allow" for action in actions],
    }


def foundation(tenant: str, platform: Platform) -> dict[str, Any]:
    """Namespaces, quota, accounts and policies: the platform's project delivers them, the tenant's could not."""
    path = f"{naming.tenant_folder(platform.cluster, tenant)}/foundation"
    spec = application_spec(PLATFORM_PROJECT, path=path, platform=platform)
    return application(f"{tenant}-foundation", spec, labels=naming.labels(tenant))


def workloads(tenant: str, platform: Platform) -> dict[str, Any]:
    """Templates and Rollouts. What the Rollouts controller writes is no drift."""
    path = f"{naming.tenant_folder(platform.cluster, tenant)}/workloads"
    spec = application_spec(tenant, path=path, platform=platform)
    spec["destination"]["namespace"] = naming.serving_namespace(tenant)
    spec["syncPolicy"]["syncOptions"] += ["PruneLast=true", "RespectIgnoreDifferences=true"]
    spec["ignoreDifferences"] = written_by_rollouts(platform)
    return application(f"{tenant}-workloads", spec, labels=naming.labels(tenant))


def written_by_rollouts(platform: Platform) -> list[dict[str, Any]]:
    """Fields of a canary that the Rollouts controller owns in the cluster, always, not only while one goes on.

    A Service's selector is one value to the API server, so applying it would take the version off again. A weight is
    one of a list that is one value too: while it is ignored, no change of the list is applied (serving/gateway.py).
    """
    selector = {"group": "", "kind": "Service", "jsonPointers": ["/spec/selector/rollouts-pod-template-hash"]}
    return [selector, _WEIGHTS[platform.traffic_router]]


_WEIGHTS: dict[str, dict[str, Any]] = {
    "gatewayApi": {
        "group": "gateway.networking.k8s.io",
        "kind": "HTTPRoute",
        "jqPathExpressions": [".spec.rules[].backendRefs[].weight"],
        "jsonPointers": ["/metadata/labels/rollouts.argoproj.io~1gatewayapi-canary"],
    },
    "istio": {
        "group": "networking.istio.io",
        "kind": "VirtualService",
        "jqPathExpressions": [".spec.http[].route[].weight"],
    },
}


def application_spec(project_name: str, *, path: str, platform: Platform) -> dict[str, Any]:
    """One folder of rendered/, kept in sync; an empty folder is refused instead of deleting everything."""
    return {
        "project": project_name,
        "source": {
            "repoURL": platform.repository,
            "targetRevision": MAIN,
            "path": path,
            "directory": {"recurse": True, "include": RENDERED_FILES},
        },
        # every object names its own namespace; one that forgets is refused, not put somewhere
        "destination": {"server": SERVER},
        "syncPolicy": {
            "automated": {"enabled": True, "prune": True, "selfHeal": True, "allowEmpty": False},
            "retry": {"limit": 5, "refresh": True, "backoff": {"duration": "10s", "factor": 2, "maxDuration": "5m"}},
            "syncOptions": list(APPLY),
        },
    }


def application(name: str, spec: dict[str, Any], *, labels: dict[str, str]) -> dict[str, Any]:
    """An Application whose removal removes its objects; a diff asks the API server, admission included."""
    return {
        "apiVersion": versions.ARGO,
        "kind": "Application",
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {
                "argocd.argoproj.io/compare-options": "ServerSideDiff=true",
                "argocd.argoproj.io/manifest-generate-paths": ".",
            },
            "finalizers": [f"{FINALIZER}/foreground"],
        },
        "spec": spec,
    }


def project(name: str, spec: dict[str, Any], *, labels: dict[str, str]) -> dict[str, Any]:
    """An AppProject that outlives its Applications."""
    return {
        "apiVersion": versions.ARGO,
        "kind": "AppProject",
        "metadata": {"name": name, "labels": labels, "finalizers": [FINALIZER]},
        "spec": spec,
    }
