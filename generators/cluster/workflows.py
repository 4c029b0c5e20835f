"""Settings of Argo's workflow controller, and the values of the chart that brings the program.

Keys and their form: argo-workflows 4.1, config/config.go; each value of the ConfigMap is YAML of its own,
which JSON is too.
"""

import json
from typing import Any

from generators import naming, restricted, versions
from generators.inputs.platform import Platform
from generators.manifest import Construct, Place, Wave, manifest

NAME = "workflow-controller-configmap"  # the name that the controller looks for
ACCOUNT = "workflow-controller"
METRICS_PORT = 9090


class PlatformWorkflows(Construct):
    """ConfigMap `workflow-controller-configmap`."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        place = Place(naming.GROUND, naming.WORKFLOWS_NAMESPACE, "platform.yaml", Wave.CONFIG)  # it starts with them
        manifest(self, controller_settings(platform), at=place)


def controller_settings(platform: Platform) -> dict[str, Any]:
    """The ConfigMap: one key for each setting."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "labels": dict(naming.MANAGED_BY)},
        "data": {key: json.dumps(value, sort_keys=True) for key, value in settings(platform).items()},
    }


def chart_values(platform: Platform) -> dict[str, Any]:
    """Values of chart `argo-workflows`: the controller alone, under the account that policies name, with our settings.

    No Argo server, which nobody of ours asks. The chart starts the controller with an executor image, which then goes
    before the one of the settings: it is put together of repository and tag, hence the form of both here. The aggregate
    roles would let `edit` and `admin` of any namespace make workflows.
    """
    executor = platform.images["argoexec"]
    registry, _, path = executor.repository.partition("/")
    image = {"registry": registry, "repository": f"{path}@sha256", "tag": executor.digest, "nonroot": False}
    return {
        "fullnameOverride": "argo",
        "images": {"tag": f"v{versions.ARGO_WORKFLOWS_RELEASE}"},
        "crds": {"install": False},  # cut short there; they are an add-on of their own
        "createAggregateRoles": False,
        "controller": {
            "name": ACCOUNT,
            "configMap": {"create": False, "name": NAME},
            "serviceAccount": {"create": True, "name": ACCOUNT},
            "clusterWorkflowTemplates": {"enabled": False},
            "workflowNamespaces": [],  # a role in each tenant's namespace is the tenant's foundation
            "podSecurityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "metricsConfig": {"enabled": True, "port": METRICS_PORT},
            "serviceMonitor": {"enabled": True},
        },
        "executor": {"image": image},
        "workflow": {"serviceAccount": {"create": False}, "rbac": {"create": False}},
        "server": {"enabled": False},
    }


def settings(platform: Platform) -> dict[str, Any]:
    """What differs from the controller's defaults.

    Left out on purpose: `artifactRepository`, which every tenant would share; `parallelism` and `namespaceParallelism`,
    because the dispatcher and Kueue alone limit running jobs (DESIGN D4); `persistence`, because a job's row outlives
    its workflow.
    """
    endpoint = {
        "enabled": True,
        "path": "/metrics",
        "port": METRICS_PORT,
        "secure": False,
    }  # Prometheus alone reaches it
    return {
        # a submitted Workflow names a template and parameters, and nothing that could widen it
        "workflowRestrictions": {"templateReferencing": "Strict"},
        "executor": {
            "image": platform.image("argoexec"),  # unless the controller is started with another
            "imagePullPolicy": "Always",
            "resources": restricted.resources("100m", "256Mi"),
            "securityContext": _container_security(),
        },
        "mainContainer": {"securityContext": _container_security()},
        "resourceRateLimit": {"limit": 10, "burst": 25},  # pods made per second, so that a storm spares the API server
        "podSpecLogStrategy": {"failedPod": False, "allPods": False},  # a pod's environment is the tenant's
        "workflowDefaults": {"spec": {"archiveLogs": False, "automountServiceAccountToken": False}},
        "metricsConfig": endpoint,
        "telemetryConfig": endpoint,
    }


def _container_security() -> dict[str, Any]:
    """Argo adds its own containers to a pod; they must pass `restricted` without the pod's help."""
    return {**restricted.CONTAINER_SECURITY, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
