"""Where our services run: their namespaces, accounts, rights at the API server, and what they know of the platform."""

from typing import Any

from generators import naming, versions
from generators.cluster.environment import BUCKET_CLIENTS
from generators.foundation.directory import PlatformDirectory
from generators.foundation.namespaces import namespace
from generators.foundation.rbac import account, service_account
from generators.inputs.platform import Platform
from generators.manifest import Construct, Place, Wave, manifest

ACCOUNTS = {
    naming.SYSTEM_NAMESPACE: (
        "default",
        "dispatcher",
        "ingest",
        "portal",
        "promoter",
        "router",
        "watcher",
        "webhooks",
    ),
    naming.STORAGE_NAMESPACE: ("default", "filer", "s3-models"),
    naming.MONITORING_NAMESPACE: ("default", "grafana", "prometheus"),
    naming.BROKER_NAMESPACE: ("default",),  # Strimzi makes the others
    naming.STORE_NAMESPACE: ("default", "postgres"),
    naming.WORKFLOWS_NAMESPACE: ("default",),  # the controller's comes with its chart: it needs a token
}
DIRECTORY_READERS = ("dispatcher", "ingest", "portal", "promoter", "router", "watcher", "webhooks")
TOKEN_REVIEWERS = ("ingest", "watcher")  # callers' and trainers' service-account tokens


class PlatformServices(Construct):
    """Namespaces with Pod Security, accounts without tokens, two narrow roles, the platform's directory."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        cluster = Place(naming.GROUND, None, "platform.yaml", Wave.NAMESPACE)
        for name in (*ACCOUNTS, platform.gateway.namespace):
            manifest(self, namespace(name, plane="system", labels=naming.MANAGED_BY), at=cluster)
        for name, accounts in ACCOUNTS.items():
            place = Place(naming.GROUND, name, "platform.yaml", Wave.ACCESS)
            for each in accounts:
                manifest(self, platform_account(each, name, platform), at=place)
        system = Place("foundation", naming.SYSTEM_NAMESPACE, "platform.yaml", Wave.ACCESS)
        for body in directory_reading():
            manifest(self, body, at=system)
        for body in token_review():
            manifest(self, body, at=Place("foundation", None, "platform.yaml", Wave.ACCESS))
        PlatformDirectory(self, "directory", platform=platform)


def platform_account(name: str, namespace: str, platform: Platform) -> dict[str, Any]:
    """An account of ours. On AWS those that reach every tenant's bucket have a role of their own."""
    body = service_account(name, labels=dict(naming.MANAGED_BY))
    storage = platform.storage
    if storage.account and namespace == naming.SYSTEM_NAMESPACE and name in BUCKET_CLIENTS:
        body["metadata"]["annotations"] = {
            naming.ROLE: naming.role(storage.account, bucket=storage.bucket_prefix, account=name)
        }
    return body


def directory_reading() -> list[dict[str, Any]]:
    """ConfigMaps of the services' own namespace, which hold the tenant directory and no secret."""
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}]
    return _role_and_binding("directory-reader", rules, readers=DIRECTORY_READERS, kind="Role")


def token_review() -> list[dict[str, Any]]:
    """Asking whether a token is genuine is a cluster-wide question; it discloses nothing else."""
    rules = [{"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}]
    return _role_and_binding("tenon-token-reviewer", rules, readers=TOKEN_REVIEWERS, kind="ClusterRole")


def _role_and_binding(
    name: str, rules: list[dict[str, list[str]]], *, readers: tuple[str, ...], kind: str
) -> list[dict[str, Any]]:
    metadata = {"name": name, "labels": dict(naming.MANAGED_BY)}
    return [
        {"apiVersion": versions.RBAC, "kind": kind, "metadata": metadata, "rules": rules},
        {
            "apiVersion": versions.RBAC,
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
            "subjects": [account(reader, naming.SYSTEM_NAMESPACE) for reader in readers],
        },
    ]
