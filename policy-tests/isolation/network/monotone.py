"""Monotone (5): adding or removing a tenant changes no verdict among the others.

By shape, not by trying: verdicts of a class are made of the rules whose subject it is (verdicts.py), so that a tenant's
folder is without effect on others when its rules have the tenant's own pods as subject. Where they must attach to a pod
of the platform (callbacks, slots), they only allow, and only the tenant's own pods or exact hosts outside, so that
every verdict about anyone else is what it was.
"""

from collections.abc import Iterator

from isolation.classes.cluster import Cluster
from isolation.classes.pod_classes import PodClass
from isolation.policies.entities import Endpoints, Fqdn, Peer
from isolation.policies.parsing import Rule
from isolation.results import CounterExample, Result, origins

# Roles of the platform to which a tenant's folder may attach.
_TAKES_ATTACHMENTS = frozenset({"models-gateway", "prometheus", "watcher", "webhooks"})


def monotone(cluster: Cluster) -> Result:
    """Rules of a tenant's folder have its own pods as subject, or attach allows for them to a pod of the platform."""
    asked, broken, attached = 0, list[CounterExample](), dict[str, None]()
    for rule in cluster.rules:
        tenant = _owner(rule)
        if tenant is None:
            continue
        asked += 1
        subjects = cluster.classes.selected_by(rule.subject)
        if rule.subject.namespaces is None:
            what = "selects pods of every namespace, so that another tenant's verdicts hang on this folder"
            broken.append(CounterExample(rule.origin.document.file, what, origins([rule])))
        foreign = [pods for pods in subjects if pods.role.tenant != tenant]
        for pods in foreign:
            broken += (
                CounterExample(rule.origin.document.file, f"{fault}: {pods}", origins([rule]))
                for fault in _attachment_faults(cluster, rule, pods, tenant=tenant)
            )
        if foreign:
            attached[f"{tenant} attaches {rule.origin} to {', '.join(map(str, foreign))}"] = None
    broken += _tenants_named_by_the_platform(cluster)
    claim = "adding or removing a tenant changes no verdict among the others"
    vacuous = "" if asked else "no tenant's folder holds a rule"
    return Result("monotone", claim, asked, tuple(broken), vacuous=vacuous, evidence=tuple(attached), number=5)


def _owner(rule: Rule) -> str | None:
    place = rule.origin.document.place
    return place[1] if place[:1] == ("tenants",) else None


def _attachment_faults(cluster: Cluster, rule: Rule, pods: PodClass, *, tenant: str) -> Iterator[str]:
    if pods.role.tenant is not None:
        yield f"is a rule of {tenant} for a pod of {pods.role.tenant}"
        return
    if pods.role.name not in _TAKES_ATTACHMENTS:
        yield f"is a rule of {tenant} for a pod of the platform that takes none"
    if rule.is_deny:
        yield "denies at a pod that other tenants share"
    if not _stands_denied(cluster, rule, pods):
        yield "would be the only default deny there, so that removing it opens the pod"
    if rule.peers is None:
        yield "selects everyone at a pod that other tenants share"
    for peer in rule.peers or ():
        if not _is_own(cluster, rule, peer, tenant=tenant):
            yield "selects more than the tenant's own pods and exact hosts at a pod that other tenants share"


def _stands_denied(cluster: Cluster, rule: Rule, pods: PodClass) -> bool:
    """Whether a document of the platform puts the pod under default deny, without this folder."""
    rules = cluster.side(pods, rule.direction).rules
    return any(other.default_deny and _owner(other) is None for other in rules)


def _is_own(cluster: Cluster, rule: Rule, peer: Peer, *, tenant: str) -> bool:
    """Pods of the tenant, an exact host, or the resolver with a list of exact names."""
    if isinstance(peer, Fqdn):
        return not peer.pattern.is_pattern
    if rule.dns is not None:
        resolvers = {id(party.identity) for party in cluster.resolvers}
        asked = [party for party in cluster.parties if peer.selects(party.identity)]
        return all(id(party.identity) in resolvers for party in asked) and not any(e.is_pattern for e in rule.dns)
    if not isinstance(peer, Endpoints) or peer.selector.namespaces is None:
        return False
    return all(pods.role.tenant == tenant for pods in cluster.classes.selected_by(peer.selector))


def _tenants_named_by_the_platform(cluster: Cluster) -> Iterator[CounterExample]:
    """A rule of the platform that names a tenant's namespace would have to change with it."""
    planes = {pods.namespace for pods in cluster.classes.of_tenants if _is_plane(pods.namespace, pods.role.tenant)}
    for rule in (rule for rule in cluster.rules if _owner(rule) is None):
        selectors = [rule.subject, *(peer.selector for peer in rule.peers or () if isinstance(peer, Endpoints))]
        for selector in selectors:
            if named := sorted(planes & (selector.namespaces or frozenset())):
                what = f"names {', '.join(named)} in an object of the platform; name the plane"
                yield CounterExample(rule.origin.document.file, what, origins([rule]))


def _is_plane(namespace: str, tenant: str | None) -> bool:
    return namespace in {f"{tenant}-train", f"{tenant}-serve"}
