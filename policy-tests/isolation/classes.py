"""The quantifier: every pod that may exist, as a finite list of classes (namespace, account).

Complete because selectors may use trusted keys only (policy_shapes.py checks it): two pods of one namespace and one
account are then the same to every policy, whatever labels their author forges. An account that no selector names in a
namespace cannot be told from any other such account there; `UNKNOWN` stands for all of them. The stranger namespace
stands for every namespace that the tree does not know.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from isolation.entities import Endpoints
from isolation.identities import Identity, pod
from isolation.labels import ACCOUNT, PodLabels
from isolation.policies import Rule
from isolation.profile import Profile
from isolation.selectors import LabelSelector
from isolation.tree import Tree

CLUSTER = "default"
UNKNOWN = "unknown-account"
STRANGER = "stranger-namespace"
TENANT_ID = re.compile(r"[a-z][a-z0-9-]{1,30}[a-z0-9]")

SYSTEM, STORAGE = "tenon-system", "storage"
_SYSTEM_ROLES = frozenset({"dispatcher", "ingest", "portal", "promoter", "router", "watcher", "webhooks"})

_ELSEWHERE = {("monitoring", "prometheus"): "prometheus", ("kuberay-system", "kuberay-operator"): "ray-operator"}


@dataclass(frozen=True)
class Role:
    """Who a pod is by the judge's own statement, never by a label. tenant: whose it is; None for the platform's.

    slot: tells the training accounts of a tenant with hard isolation apart.
    """

    name: str
    tenant: str | None = None
    slot: str = ""


@dataclass(frozen=True, eq=False)
class PodClass:
    """All pods of one namespace and account. exists: the account is rendered, so that such pods can start."""

    namespace: str
    account: str
    role: Role
    identity: Identity
    exists: bool

    def __str__(self) -> str:
        return f"{self.namespace}/{self.account}"


@dataclass(frozen=True, eq=False)
class Classes:
    """All classes of one tree."""

    all: tuple[PodClass, ...]
    tenants: tuple[str, ...]

    @cached_property
    def by_namespace(self) -> dict[str, list[PodClass]]:
        found: dict[str, list[PodClass]] = {}
        for each in self.all:
            found.setdefault(each.namespace, []).append(each)
        return found

    @cached_property
    def of_tenants(self) -> tuple[PodClass, ...]:
        return tuple(each for each in self.all if each.role.tenant is not None)

    def selected_by(self, selector: LabelSelector) -> list[PodClass]:
        """The classes that a selector matches; only its own namespaces are looked at where it names them."""
        pinned = selector.namespaces
        candidates = self.all if pinned is None else [c for n in sorted(pinned) for c in self.by_namespace.get(n, ())]
        return [each for each in candidates if selector.matches(each.identity.labels)]


def classes_of(tree: Tree, rules: Iterable[Rule], profile: Profile) -> Classes:
    """The classes of a tree under the rules that its policies make."""
    tenants = tenants_of(tree)
    labels = {document.name: document.labels for document in tree.of_kind("Namespace")}
    accounts = _accounts(tree, set(selectors_of(rules)))
    accounts.setdefault(profile.dns_namespace, set()).add(profile.dns_account)
    everywhere = accounts.pop("", set())
    roles = _Roles(tenants, profile)
    rendered = {(document.namespace, document.name) for document in tree.of_kind("ServiceAccount")}
    made = [
        PodClass(
            namespace,
            account,
            roles.role(namespace, account),
            _identity(namespace, account, labels.get(namespace, {})),
            (namespace, account) in rendered,
        )
        for namespace in sorted({*labels, *accounts, STRANGER})
        for account in sorted({*accounts.get(namespace, ()), *everywhere, "default", UNKNOWN})
    ]
    return Classes(tuple(made), tenants)


def tenants_of(tree: Tree) -> tuple[str, ...]:
    """The folders below `tenants/`, in order."""
    found = {document.place[1] for document in tree.documents if document.place[:1] == ("tenants",)}
    return tuple(sorted(found))


def selectors_of(rules: Iterable[Rule]) -> Iterable[LabelSelector]:
    for rule in rules:
        yield rule.subject
        for peer in rule.peers or ():
            if isinstance(peer, Endpoints):
                yield peer.selector


def _accounts(tree: Tree, selectors: set[LabelSelector]) -> dict[str, set[str]]:
    """namespace -> accounts that exist or that a selector could tell apart there; "" for selectors of no namespace."""
    found: dict[str, set[str]] = {}
    for document in tree.of_kind("ServiceAccount"):
        found.setdefault(document.namespace or "", set()).add(document.name)
    for selector in selectors:
        pinned = selector.namespaces
        for namespace in {""} if pinned is None else pinned:
            found.setdefault(namespace, set()).update(selector.values_of(ACCOUNT))
    return found


def _identity(namespace: str, account: str, namespace_labels: Mapping[str, str]) -> Identity:
    labels = PodLabels(
        namespace=namespace, account=account, cluster=CLUSTER, namespace_labels=namespace_labels, chosen={}
    )
    return pod(f"{namespace}/{account}", labels.identity())


@dataclass(frozen=True)
class _Roles:
    """The judge's own naming rules: namespaces `<tenant>-train`, `<tenant>-serve`; gateway `s3-<tenant>`."""

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
        return Role("gateway", tenant) if account != tenant and tenant in self.tenants else Role("other")


def _training_role(tenant: str, account: str) -> Role:
    if account in {"executor", "step"}:
        return Role(account, tenant)
    if re.fullmatch(r"trainer(-\d+)?", account):
        return Role("trainer", tenant, slot=account)
    return Role("unnamed", tenant)


def _serving_role(tenant: str, account: str) -> Role:
    return Role("model" if account == "model" else "unnamed", tenant)
