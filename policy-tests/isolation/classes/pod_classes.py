"""The quantifier: every pod that may exist, as a finite list of classes (namespace, account, chosen labels).

Complete because a policy sees of a pod nothing but which selectors match it. Namespace, account and the namespace's
labels are the cluster's; of everything else the author of the pod decides, and assignments.py lists each vector of
answers that he can reach. An account that no selector names in a namespace cannot be told from any other such account
there; `UNKNOWN` stands for all of them, those of other namespaces included. The stranger namespace stands for every
namespace that the tree does not know. The labels are taken as Cilium keeps them by default: the platform's allow-list
of labels leaves fewer classes, so that isolation does not rest on its being rolled out.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from isolation.classes.assignments import assignments, is_chosen
from isolation.classes.profile import Profile
from isolation.classes.roles import Role, Roles
from isolation.manifests.tree import Tree
from isolation.policies.entities import Endpoints
from isolation.policies.identities import Identity, pod
from isolation.policies.labels import ACCOUNT, PodLabels
from isolation.policies.parsing import Rule
from isolation.policies.selectors import LabelSelector

CLUSTER = "default"
UNKNOWN = "unknown-account"
STRANGER = "stranger-namespace"
TENANT_ID = re.compile(r"[a-z][a-z0-9-]{1,30}[a-z0-9]")


@dataclass(frozen=True, eq=False)
class PodClass:
    """All pods of one namespace and account whose chosen labels policies cannot tell apart.

    exists: the account is rendered, so that such pods can start. chosen: labels that stand for the class; none where
    no selector asks for a label that a pod's author chooses.
    """

    namespace: str
    account: str
    role: Role
    identity: Identity
    exists: bool
    chosen: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_rendered(self) -> bool:
        """Pods as the tree makes them; under the platform's allow-list of labels no chosen label is left of them."""
        return self.exists and not self.chosen

    def __str__(self) -> str:
        return self.identity.name


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
    """The classes of a tree under the rules that its policies make. Raises Refused where they are too many."""
    tenants = tenants_of(tree)
    labels = {document.name: document.labels for document in tree.of_kind("Namespace")}
    selectors = set(selectors_of(rules))
    accounts = _accounts(tree, selectors)
    accounts.setdefault(profile.dns_namespace, set()).add(profile.dns_account)
    everywhere = accounts.pop("", set())
    roles = Roles(tenants, profile)
    rendered = {(document.namespace, document.name) for document in tree.of_kind("ServiceAccount")}
    by_namespace = _with_chosen_terms(selectors)
    made = [
        PodClass(
            namespace,
            account,
            roles.role(namespace, account),
            _identity(labelled, chosen),
            (namespace, account) in rendered,
            chosen,
        )
        for namespace in sorted({*labels, *accounts, STRANGER})
        for account in sorted({*accounts.get(namespace, ()), *everywhere, "default", UNKNOWN})
        for labelled in [_labelled(namespace, account, labels.get(namespace, {}))]
        for chosen in assignments(labelled, [*by_namespace.get(None, ()), *by_namespace.get(namespace, ())])
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


def _with_chosen_terms(selectors: Iterable[LabelSelector]) -> dict[str | None, list[LabelSelector]]:
    """Selectors that ask for a label of an author's choice, by the namespaces that they name; None for any."""
    found: dict[str | None, list[LabelSelector]] = {}
    for selector in selectors:
        if any(is_chosen(term) for term in selector.requirements):
            pinned = selector.namespaces
            for namespace in [None] if pinned is None else pinned:
                found.setdefault(namespace, []).append(selector)
    return found


def _labelled(namespace: str, account: str, namespace_labels: Mapping[str, str]) -> PodLabels:
    return PodLabels(
        namespace=namespace, account=account, cluster=CLUSTER, namespace_labels=namespace_labels, chosen={}
    )


def _identity(labelled: PodLabels, chosen: Mapping[str, str]) -> Identity:
    name = f"{labelled.namespace}/{labelled.account}"
    if chosen:
        name += f" labelled {', '.join(f'{key}={value}' for key, value in sorted(chosen.items()))}"
    return pod(name, replace(labelled, chosen=chosen).identity())
