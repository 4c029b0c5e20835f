"""Argo CD's projects: what may be delivered, from where, to where, as whom (H29).

Too much and a tenant's folder could write what isolates it; too little, or a window in which nothing is synced, and
what was proved is not applied.
"""

import re
from collections.abc import Collection, Iterator
from typing import Any

from isolation.classes.inventory import PLANES, spec_of, tenant_of
from isolation.manifests.pods import Body
from isolation.manifests.tree import Document, Tree
from isolation.objects.allowed_kinds import OF_TENANTS
from isolation.objects.applications import SERVER, differences

_CONTROLLER = "argocd:argocd-application-controller"
_OF_ARGOCD = tuple({"group": "argoproj.io", "kind": kind} for kind in ("AppProject", "Application", "ApplicationSet"))
_EVERYTHING = {"group": "*", "kind": "*"}
_LISTS = frozenset({"namespaceResourceWhitelist", "namespaceResourceBlacklist", "clusterResourceWhitelist"})
_POLICY = re.compile(
    r"p, proj:(?P<of>[a-z0-9-]+):(?P<role>[a-z-]+), (?P<what>[a-z]+), (?P<action>[A-Za-z0-9./*-]+), "
    r"(?P<on>[a-z0-9-]+)/\*, allow"
)
# Looking on, and what admission lets people write into a Rollout's status; `promote-full` would skip the analysis.
_ACTIONS = frozenset({"get", "action/argoproj.io/Rollout/abort", "action/argoproj.io/Rollout/resume"})


def tenant_project(project: Document, tree: Tree, *, url: str) -> Iterator[str]:
    """The tenant's own folder of workloads: its kinds, its two namespaces, its deployer, its owners."""
    spec, tenant = spec_of(project), str(tenant_of(project))
    wanted = {
        "sourceRepos": [url],
        "sourceNamespaces": [],
        "destinations": [{"server": SERVER, "namespace": f"{tenant}-{plane}"} for plane in PLANES],
        "clusterResourceWhitelist": [],
        "destinationServiceAccounts": [_account(f"{tenant}-serve", f"{tenant}-serve:deployer")],
    }
    yield from _differences(spec, wanted, besides={"roles", "namespaceResourceWhitelist", "namespaceResourceBlacklist"})
    allowed = _kinds(spec.get("namespaceResourceWhitelist"))
    if not allowed:
        yield "may write every kind that it does not name; list the kinds of its workloads"
    for kind in sorted(allowed):
        if "workloads" not in OF_TENANTS.get(kind, ()):
            yield f"may write {kind}, which is no kind of workloads"
    denied = _kinds(spec.get("namespaceResourceBlacklist"))
    folder = ("tenants", tenant, "workloads")
    held = {_kind(each) for each in tree.by_folder.get(folder, ())}
    for kind in sorted(held & _covered(held, denied) | held - allowed):
        yield f"does not deliver {kind}, which its workloads hold"
    for role in spec.get("roles") or ():
        yield from (f"role {role.get('name')} {fault}" for fault in _role_faults(role, tenant))


def platform_project(project: Document, tree: Tree, *, url: str) -> Iterator[str]:
    """The platform's tree and every foundation: all that these hold, as the controller itself."""
    spec = spec_of(project)
    wanted = {
        "sourceRepos": [url],
        "sourceNamespaces": [],
        "destinations": [{"server": SERVER, "namespace": "*"}],
        "destinationServiceAccounts": [_account("*", _CONTROLLER)],
        "namespaceResourceBlacklist": [*_OF_ARGOCD],
    }
    yield from _differences(spec, wanted, besides={"clusterResourceWhitelist"})
    allowed = _kinds(spec.get("clusterResourceWhitelist"))
    if any("*" in kind for kind in allowed):
        yield "may write cluster-wide kinds that it does not name"
    for kind in sorted({_kind(each) for each in tree.documents if each.namespace is None} - allowed):
        yield f"does not deliver {kind}, which the tree holds"


def default_project(project: Document) -> Iterator[str]:
    """Argo CD makes this one itself, and lets it do everything; ours does nothing."""
    empty = ("sourceRepos", "sourceNamespaces", "destinations", "clusterResourceWhitelist")
    wanted = {**{key: [] for key in empty}, "namespaceResourceBlacklist": [_EVERYTHING]}
    yield from _differences(spec_of(project), wanted)


def charts_project(project: Document) -> Iterator[str]:
    """What charts.py leaves open: no other field, one cluster, no Application of its own, one account."""
    spec = spec_of(project)
    places = [str(each.get("namespace")) for each in spec.get("destinations") or ()]
    wanted = {
        "sourceNamespaces": [],
        "destinations": [{"server": SERVER, "namespace": place} for place in places],
        "destinationServiceAccounts": [_account(place, _CONTROLLER) for place in places],
        "namespaceResourceBlacklist": [*_OF_ARGOCD],
    }
    yield from _differences(spec, wanted, besides={"sourceRepos", "clusterResourceWhitelist"})


def _differences(spec: Body, wanted: Body, *, besides: Collection[str] = ()) -> Iterator[str]:
    """besides: fields that are judged elsewhere."""
    found = {key: _in_order(value) for key, value in spec.items() if key not in {"description", *besides}}
    yield from differences(found, {key: _in_order(value) for key, value in wanted.items()}, at="spec")


def _in_order(value: Any) -> Any:
    return sorted(value, key=str) if isinstance(value, list) and all(isinstance(each, str) for each in value) else value


def _account(namespace: str, account: str) -> Body:
    return {"server": SERVER, "namespace": namespace, "defaultServiceAccount": account}


def _kinds(entries: list[Body] | None) -> set[str]:
    """`group/kind` of each entry; an entry that says more, a name for instance, stands for no kind."""
    return {f"{each['group']}/{each['kind']}" for each in entries or () if set(each) == {"group", "kind"}}


def _covered(kinds: set[str], denied: set[str]) -> set[str]:
    """Those that a list of denied kinds names, by kind, by group, or all."""
    groups = {kind.partition("/")[0] for kind in denied if kind.endswith("/*")}
    return {kind for kind in kinds if kind in denied or kind.partition("/")[0] in groups or "*" in groups}


def _kind(document: Document) -> str:
    return f"{str(document.body.get('apiVersion')).rpartition('/')[0]}/{document.kind}"


def _role_faults(role: Body, tenant: str) -> Iterator[str]:
    if set(role.get("groups") or ()) - {f"tenon:{tenant}"} or role.get("jwtTokens"):
        yield "is held by others than the owners, or by a token"
    for policy in role.get("policies") or ():
        found = _POLICY.fullmatch(str(policy))
        if found is None or {found["of"], found["on"]} != {tenant} or found["role"] != role.get("name"):
            yield f"has policy `{policy}`, which is not of this role and project alone"
        elif found["what"] != "applications" or found["action"] not in _ACTIONS:
            yield f"may {found['action']} {found['what']}; looking on, resume and abort are all"
