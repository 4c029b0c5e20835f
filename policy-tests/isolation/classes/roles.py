"""Who a pod is, by the judge's own statement: from namespace and account, which nobody but the platform decides.

The naming rules stand here a second time on purpose (DESIGN section 3, allowed duplicates): namespaces
`<tenant>-train` and `<tenant>-serve`, gateway `s3-<tenant>`, one account per service of the platform.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from isolation.classes.profile import Profile

SYSTEM, STORAGE, BROKER = "tenon-system", "storage", "kafka"
_SYSTEM_ROLES = frozenset({"dispatcher", "ingest", "portal", "promoter", "router", "watcher", "webhooks"})
_ELSEWHERE: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("argo", "workflow-controller"): "workflow-controller",
        ("argo-rollouts", "argo-rollouts"): "rollouts",
        ("gpu-operator", "nvidia-dcgm-exporter"): "gpu-exporter",
        ("keda", "keda-operator"): "autoscaler",
        ("kuberay-system", "kuberay-operator"): "ray-operator",
        ("kueue-system", "kueue-controller-manager"): "queue-controller",
        ("monitoring", "grafana"): "grafana",
        ("monitoring", "prometheus"): "prometheus",
        ("monitoring", "prometheus-operator"): "prometheus-operator",
        ("postgres", "postgres"): "database",
        ("prometheus-adapter", "prometheus-adapter"): "metrics-adapter",
        ("strimzi", "strimzi-cluster-operator"): "broker-operator",
    }
)
# Namespaces of the platform that deny by default. In the others, of add-ons, pods stand open on their own side.
_GOVERNED = frozenset({SYSTEM, STORAGE, BROKER, "argo", "monitoring", "postgres"})


@dataclass(frozen=True)
class Role:
    """Who a pod is by the judge's own statement, never by a label. tenant: whose it is; None for the platform's.

    slot: tells the training accounts of a tenant with hard isolation apart.
    """

    name: str
    tenant: str | None = None
    slot: str = ""


def governed_namespaces(profile: Profile) -> frozenset[str]:
    """The platform's namespaces around which the closed world stands; with a mesh, its gateway's too."""
    return _GOVERNED | ({profile.mesh.gateway[0]} if profile.mesh else frozenset())


@dataclass(frozen=True)
class Roles:
    """The naming rules, for the tenants of one tree."""

    tenants: tuple[str, ...]
    profile: Profile

    def role(self, namespace: str, account: str) -> Role:
        if (namespace, account) == (self.profile.dns_namespace, self.profile.dns_account):
            return Role("resolver")
        if (mesh := self.profile.mesh) and (namespace, account) in {mesh.gateway, mesh.control}:
            return Role("mesh-gateway" if (namespace, account) == mesh.gateway else "mesh-control")
        if namespace == SYSTEM and account in _SYSTEM_ROLES:
            return Role(account)
        if (namespace, account) in _ELSEWHERE:
            return Role(_ELSEWHERE[namespace, account])
        if namespace == STORAGE:
            return self._storage_role(account)
        if namespace == BROKER:
            return _broker_role(account)
        tenant, _, plane = namespace.rpartition("-")
        if tenant not in self.tenants or plane not in {"train", "serve"}:
            return Role("other")
        return _training_role(tenant, account) if plane == "train" else _serving_role(tenant, account)

    def _storage_role(self, account: str) -> Role:
        if account == "filer":
            return Role("filer")
        if account == "s3-models":
            return Role("models-gateway")
        tenant = account.removeprefix("s3-")
        is_gateway = account != tenant and tenant in self.tenants
        return Role("gateway", tenant) if is_gateway else Role("storage-other")


def _broker_role(account: str) -> Role:
    """Accounts that Strimzi makes, after the broker's name in platform.yaml."""
    if account.endswith("-entity-operator"):
        return Role("broker-entities")
    return Role("broker" if account.endswith("-kafka") else "other")


def _training_role(tenant: str, account: str) -> Role:
    if account in {"executor", "step"}:
        return Role(account, tenant)
    if re.fullmatch(r"trainer(-\d+)?", account):
        return Role("trainer", tenant, slot=account)
    return Role("unnamed", tenant)


def _serving_role(tenant: str, account: str) -> Role:
    return Role("model" if account == "model" else "unnamed", tenant)
