"""The two namespaces of a tenant. Training and serving share no account, secret or quota (DESIGN D4)."""

from collections.abc import Mapping
from typing import Any

from generators import mesh, naming, versions
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from generators.manifest import Construct, Place, Wave, manifest

# Argo CD asks a person before it deletes what holds everything else.
CONFIRMED = {"argocd.argoproj.io/sync-options": "Prune=confirm,Delete=confirm"}


class TenantNamespaces(Construct):
    """`<tenant>-train` and `<tenant>-serve`."""

    def __init__(self, scope: Construct, construct_id: str, *, tenant: Tenant, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        place = Place("foundation", None, tenant.key(""), Wave.NAMESPACE)
        for plane, name in (
            ("train", naming.training_namespace(tenant.id)),
            ("serve", naming.serving_namespace(tenant.id)),
        ):
            labels = {**naming.labels(tenant.id), **injection(plane, platform)}
            manifest(self, namespace(name, plane=plane, labels=labels), at=place)


def namespace(name: str, *, plane: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """A namespace under Pod Security `restricted`, pinned to a version so that an upgrade changes nothing unseen."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {**labels, naming.PLANE_LABEL: plane, **pod_security()},
            "annotations": dict(CONFIRMED),
        },
    }


def injection(plane: str, platform: Platform) -> dict[str, str]:
    """Whether pods get a sidecar: servers do, jobs would not end with one."""
    if not mesh.is_used(platform):
        return {}
    return {mesh.INJECTION_LABEL: "enabled" if plane == "serve" else "disabled"}


def pod_security() -> dict[str, str]:
    """The labels that hold every pod of a namespace to `restricted`."""
    prefix = "pod-security.kubernetes.io"
    modes = ("enforce", "audit", "warn")
    levels = {f"{prefix}/{mode}": "restricted" for mode in modes}
    return levels | {f"{prefix}/{mode}-version": versions.POD_SECURITY for mode in modes}
