"""Accounts of a tenant and what each may do at the Kubernetes API. Roles only, bound by name; no ClusterRole."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from generators import naming, versions
from generators.foundation import delivered
from generators.foundation.namespaces import CONFIRMED
from generators.foundation.network import trainer_accounts
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from generators.manifest import Construct, Place, Wave, manifest

Rule = dict[str, list[str]]
Subject = dict[str, str]

_READ = ["get", "list", "watch"]
_WRITE = [*_READ, "create", "update", "patch", "delete"]
# Runner -> API group and resource of what a GPU step makes.
RUNNERS = {
    "jobset": ("jobset.x-k8s.io", "jobsets"),
    "trainjob": ("trainer.kubeflow.org", "trainjobs"),
    "rayjob": ("ray.io", "rayjobs"),
}


class TenantAccounts(Construct):
    """Service accounts, Roles and RoleBindings of both namespaces, and the executor's token Secret."""

    def __init__(self, scope: Construct, construct_id: str, *, tenant: Tenant, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        train, serve = naming.training_namespace(tenant.id), naming.serving_namespace(tenant.id)
        for namespace, accounts, grants in (
            (train, training_accounts(tenant), training_grants(tenant)),
            (serve, SERVING_ACCOUNTS, serving_grants(tenant, platform)),
        ):
            place = Place("foundation", namespace, tenant.key(""), Wave.ACCESS)
            for account in accounts:
                manifest(self, tenant_account(account, tenant=tenant, platform=platform), at=place)
            for grant in grants:
                manifest(self, role(grant, tenant=tenant.id), at=place)
                manifest(self, role_binding(grant, tenant=tenant.id), at=place)
        manifest(self, executor_token(tenant.id), at=Place("foundation", train, tenant.key(""), Wave.ACCESS))


@dataclass(frozen=True)
class Grant:
    """A Role and the RoleBinding of the same name."""

    name: str
    rules: Sequence[Rule]
    subjects: Sequence[Subject]


# `deployer` stands in -serve, where no job can start a pod as it; it applies -train too
SERVING_ACCOUNTS = ("default", naming.DEPLOYER, naming.MODEL)


def training_accounts(tenant: Tenant) -> tuple[str, ...]:
    """`default` is there to lose its token; it is named by no rule."""
    return ("default", naming.EXECUTOR, naming.STEP, *trainer_accounts(tenant))


def training_grants(tenant: Tenant) -> list[Grant]:
    """Who may do what in `<tenant>-train`. `step` and the trainers have no grant: they never ask the API server."""
    group, resource = RUNNERS[tenant.training.runner]
    train = naming.training_namespace(tenant.id)
    return [
        Grant(
            naming.EXECUTOR,
            [
                _rule("argoproj.io", ["workflowtaskresults"], ["create", "patch"]),
                _rule(group, [resource], ["create", "delete", "get", "list"]),  # by label, where an attempt is stopped
            ],
            [account(naming.EXECUTOR, train)],
        ),
        Grant(
            "dispatcher",
            [_rule("argoproj.io", ["workflows"], ["create", *_READ, "patch"])],
            [account("dispatcher", naming.SYSTEM_NAMESPACE)],
        ),
        Grant(
            "watcher",
            [
                _rule("argoproj.io", ["workflows"], [*_READ, "patch"]),  # stops those of cancelled and pausing jobs
                _rule("kueue.x-k8s.io", ["workloads"], _READ),  # admitted and queued time
                # why a step failed: its pods are deleted at the attempt's end, and hold no secret in their environment
                _rule("", ["pods"], _READ),
                _rule("jobset.x-k8s.io", ["jobsets"], _READ),
            ],
            [account("watcher", naming.SYSTEM_NAMESPACE)],
        ),
        Grant(
            naming.DEPLOYER,
            _writes(delivered.TRAINING),
            [account(naming.DEPLOYER, naming.serving_namespace(tenant.id))],
        ),
        Grant(
            "owners",
            [
                _rule("", ["events", "pods", "pods/log"], _READ),
                _rule("argoproj.io", ["cronworkflows", "workflows", "workflowtemplates"], _READ),
                _rule("kueue.x-k8s.io", ["localqueues", "workloads"], _READ),
                _rule(group, [resource], _READ),
                # memory of a running rank, upward and within the namespace's LimitRange: admission sees to both
                *([_rule("", ["pods/resize"], ["patch"])] if tenant.training.resize else []),
            ],
            [_owners(tenant.id)],
        ),
    ]


def serving_grants(tenant: Tenant, platform: Platform) -> list[Grant]:
    """Who may do what in `<tenant>-serve`. Owners promote: they patch a Rollout's status, never its spec (D26).

    Argo CD's own buttons for it patch the status as the deployer; admission bounds both alike.
    """
    serve = naming.serving_namespace(tenant.id)
    promote = _rule("argoproj.io", ["rollouts/status"], ["patch"])
    runs_ray = any(record.serving.runtime == "ray" for record in tenant.models.values())
    return [
        Grant(
            naming.DEPLOYER,
            [*_writes(delivered.serving(platform)), promote],
            [account(naming.DEPLOYER, serve)],
        ),
        Grant(
            "owners",
            [
                _rule("", ["events", "pods", "pods/log", "services"], _READ),
                _rule("apps", ["replicasets"], _READ),
                _rule("argoproj.io", ["analysisruns", "analysistemplates", "experiments", "rollouts"], _READ),
                promote,
                *_reads(delivered.routing(platform)),
                *([_rule("ray.io", ["rayclusters", "rayservices"], _READ)] if runs_ray else []),
            ],
            [_owners(tenant.id)],
        ),
    ]


def tenant_account(name: str, *, tenant: Tenant, platform: Platform) -> dict[str, Any]:
    """An account of a tenant. On AWS each that touches data has a role of its own for the tenant's one bucket.

    Its removal takes a way to the data away, so Argo CD asks a person first.
    """
    body = service_account(name, labels=naming.labels(tenant.id))
    storage = platform.storage
    if storage.account and name in (naming.STEP, naming.MODEL, *trainer_accounts(tenant)):
        own = naming.bucket(storage.bucket_prefix, tenant.id)
        body["metadata"]["annotations"] = {
            **CONFIRMED,
            naming.ROLE: naming.role(storage.account, bucket=own, account=name),
        }
    return body


def service_account(name: str, *, labels: dict[str, str]) -> dict[str, Any]:
    """An account whose pods get no token unless they ask for one."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "labels": labels},
        "automountServiceAccountToken": False,
    }


def executor_token(tenant: str) -> dict[str, Any]:
    """The Secret that Argo's controller mounts for `executor.serviceAccountName`; the API server fills it.

    Without it every workflow fails (argo-workflows: docs/service-account-secrets.md). It has no data here.
    """
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": f"{naming.EXECUTOR}.service-account-token",
            "labels": naming.labels(tenant),
            "annotations": {"kubernetes.io/service-account.name": naming.EXECUTOR},
        },
    }


def role(grant: Grant, *, tenant: str) -> dict[str, Any]:
    return {
        "apiVersion": versions.RBAC,
        "kind": "Role",
        "metadata": {"name": grant.name, "labels": naming.labels(tenant)},
        "rules": list(grant.rules),
    }


def role_binding(grant: Grant, *, tenant: str) -> dict[str, Any]:
    return {
        "apiVersion": versions.RBAC,
        "kind": "RoleBinding",
        "metadata": {"name": grant.name, "labels": naming.labels(tenant)},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": grant.name},
        "subjects": list(grant.subjects),
    }


def account(name: str, namespace: str) -> Subject:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def _writes(kinds: tuple[delivered.Kind, ...]) -> list[Rule]:
    return [_rule(group, resources, _WRITE) for group, resources in delivered.by_group(kinds).items()]


def _reads(kinds: tuple[delivered.Kind, ...]) -> list[Rule]:
    return [_rule(group, resources, _READ) for group, resources in delivered.by_group(kinds).items()]


def _owners(tenant: str) -> Subject:
    return {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": naming.owners_group(tenant)}


def _rule(group: str, resources: list[str], verbs: list[str]) -> Rule:
    return {"apiGroups": [group], "resources": resources, "verbs": list(verbs)}
