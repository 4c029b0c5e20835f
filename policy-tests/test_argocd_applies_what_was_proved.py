"""What Argo CD applies is the tree that was proved, all of it and in its turn: each way around is noticed (H29)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from isolation.manifests.tree import Document, Tree
from isolation.objects.annotations import sync_options
from isolation.objects.delivery import delivery
from isolation.results import Result
from mutants.mutant import Change, append, at, drop, inventory_of

pytestmark = pytest.mark.requirement("H29")

Key = tuple[str, str | None, str]
FOUNDATION, WORKLOADS = ("Application", "argocd", "acme-foundation"), ("Application", "argocd", "acme-workloads")
PLATFORM, GROUND = ("Application", "argocd", "platform"), ("Application", "argocd", "platform-ground")
CHART = ("Application", "argocd", "addon-kueue")
OF_ACME, OF_PLATFORM = ("AppProject", "argocd", "acme"), ("AppProject", "argocd", "platform")
LOCKED, OF_CHARTS = ("AppProject", "argocd", "default"), ("AppProject", "argocd", "addons")
DENY, IMDS = ("NetworkPolicy", "acme-train", "default-deny"), ("CiliumClusterwideNetworkPolicy", None, "imds")
SPACE, GATEWAY = ("Namespace", None, "acme-train"), ("Deployment", "storage", "s3-acme")
ACCOUNT = ("ServiceAccount", "acme-train", "trainer")
ON = "metadata/annotations"
WAVE = f"{ON}/argocd.argoproj.io~sync-wave"
DIFFERENT = {"group": "cilium.io", "kind": "CiliumNetworkPolicy", "jsonPointers": ["/spec"]}
NEVER = {"kind": "deny", "schedule": "* * * * *", "duration": "1h", "namespaces": ["*"]}

APPLIED_OTHERWISE: list[tuple[Key, Change, str]] = [
    (FOUNDATION, at("spec/source/directory/exclude", "**/networking*"), "source.directory has field exclude"),
    (FOUNDATION, at("spec/source/directory/include", "*serviceaccount*"), "directory.include is"),
    (FOUNDATION, at("spec/source/directory/recurse", value=False), "directory.recurse is False"),
    (FOUNDATION, at("spec/source/directory/jsonnet", {}), "has field jsonnet"),
    (FOUNDATION, drop("spec/source/directory"), "source.directory is None"),
    (FOUNDATION, at("spec/source/kustomize", {"patches": []}), "has field kustomize"),
    (FOUNDATION, at("spec/source/targetRevision", "evil"), "targetRevision is evil"),
    (FOUNDATION, at("spec/source/repoURL", "https://evil.example/x.git"), "repoURL is https://evil"),
    (FOUNDATION, at("spec/source/path", "rendered/eu2/tenants/acme/foundation"), "source.path is rendered/eu2"),
    (FOUNDATION, at("spec/syncPolicy/retry/limit", 0), "retry.limit is 0"),
    (FOUNDATION, at("spec/source", "text"), "spec.source is no mapping"),
    (OF_ACME, at("spec/roles", [{"name": 5}]), "spec.roles is no list"),
    (OF_CHARTS, at("spec/sourceRepos", [None]), "spec.sourceRepos is no list"),
    (FOUNDATION, at("spec/sources", [{}]), "spec has field sources"),
    (FOUNDATION, at("spec/destination/server", "https://other"), "destination.server is https://other"),
    (FOUNDATION, at("spec/destination/name", "other"), "destination has field name"),
    (FOUNDATION, at("spec/ignoreDifferences", [DIFFERENT]), "lets CiliumNetworkPolicy differ"),
    (FOUNDATION, at("spec/syncPolicy/automated/enabled", value=False), "automated.enabled is False"),
    (FOUNDATION, at("operation", {"sync": {"revision": "evil"}}), "has operation"),
    (FOUNDATION, at("apiVersion", "argoproj.io/v1"), "is no argoproj.io/v1alpha1"),
    (FOUNDATION, at(WAVE, "20"), "before the foundation"),
    (WORKLOADS, append("spec/ignoreDifferences", DIFFERENT), "lets CiliumNetworkPolicy differ"),
    (WORKLOADS, at("spec/destination/namespace", "acme-train"), "destination.namespace is acme-train"),
    (PLATFORM, at("spec/source/directory/exclude", "*imds*"), "source.directory has field exclude"),
    (PLATFORM, at("spec/source/targetRevision", "evil"), "targetRevision is evil"),
    (PLATFORM, at(WAVE, "5"), "with the tenants, or after them"),
    (PLATFORM, at("metadata/name", "evil"), "neither the platform's"),
    (GROUND, at("spec/destination/server", "https://other"), "destination.server is https://other"),
    (GROUND, drop("spec/syncPolicy/automated"), "automated is None"),
    (CHART, at("spec/source/repoURL", "https://git.tenon.example/platform/tenon.git"), "which does not name it"),
    (CHART, at("metadata/name", "platform-ground"), "is called platform-ground"),
    (OF_ACME, at("spec/syncWindows", [NEVER]), "spec has field syncWindows"),
    (OF_ACME, drop("spec/namespaceResourceWhitelist"), "every kind"),
    (OF_ACME, at("spec/namespaceResourceWhitelist", []), "every kind"),
    (OF_ACME, drop("spec/namespaceResourceWhitelist/1"), "not deliver"),
    (OF_ACME, append("spec/namespaceResourceBlacklist", {"group": "argoproj.io", "kind": "Rollout"}), "not deliver"),
    (OF_ACME, at("spec/destinations/0/server", "https://other"), "spec.destinations is"),
    (OF_PLATFORM, at("spec/syncWindows", [NEVER]), "spec has field syncWindows"),
    (OF_PLATFORM, append("spec/namespaceResourceBlacklist", {"group": "cilium.io", "kind": "*"}), "Blacklist is"),
    (
        OF_PLATFORM,
        at("spec/clusterResourceWhitelist/3/kind", "Other"),
        "CiliumClusterwideNetworkPolicy, which the tree",
    ),
    (OF_PLATFORM, append("spec/clusterResourceWhitelist", {"group": "*", "kind": "*"}), "does not name"),
    (OF_PLATFORM, at("spec/destinationServiceAccounts/0/defaultServiceAccount", "argocd:other"), "ServiceAccounts is"),
    (OF_CHARTS, at("spec/namespaceResourceBlacklist", []), "Blacklist is"),
    (LOCKED, at("spec/destinations", [{"server": "*", "namespace": "*"}]), "spec.destinations is"),
    (LOCKED, at("metadata/name", "other"), "is a project beside"),
    (DENY, at("metadata/namespace", "argocd"), "Applications and projects"),
]
NOT_APPLIED: list[tuple[Key, Change, str]] = [
    (DENY, at(f"{ON}/helm.sh~hook", "test"), "annotation helm.sh/hook"),
    (IMDS, at(f"{ON}/helm.sh~hook", "post-delete"), "annotation helm.sh/hook"),
    (DENY, at(f"{ON}/helm.sh~hook-delete-policy", "hook-succeeded"), "annotation helm.sh/hook-delete-policy"),
    (DENY, at(f"{ON}/argocd.argoproj.io~hook", "PostDelete"), "annotation argocd.argoproj.io/hook"),
    (DENY, at(f"{ON}/argocd.argoproj.io~sync-options", "Prune=false"), "which no NetworkPolicy has"),
    (DENY, at(f"{ON}/argocd.argoproj.io~compare-options", "IgnoreExtraneous"), "which no NetworkPolicy has"),
    (DENY, at(WAVE, "100"), "applied in wave 100"),
    (DENY, drop(WAVE), "applied in wave 0"),
    (SPACE, at(f"{ON}/scheduler.alpha.kubernetes.io~node-selector", "a=b"), "node-selector"),
    (ACCOUNT, at(f"{ON}/kubernetes.io~enforce-mountable-secrets", "false"), "enforce-mountable-secrets"),
    (GATEWAY, at(WAVE, "-40"), "starts pods in wave -40"),
    (GATEWAY, at(WAVE, "soon"), "is soon"),
    (FOUNDATION, at(f"{ON}/argocd.argoproj.io~manifest-generate-paths", "/other"), "is /other"),
    (FOUNDATION, at(f"{ON}/argocd.argoproj.io~skip-reconcile", "true"), "skip-reconcile"),
]


def faults(ask: Callable[[Any], Result], tree: Tree) -> str:
    return "\n".join(map(str, ask(inventory_of(tree)).broken))


@pytest.mark.parametrize(("key", "change", "text"), APPLIED_OTHERWISE)
def test_a_delivery_of_something_else_is_noticed(key: Key, change: Change, text: str, pair: Tree) -> None:
    assert text in faults(delivery, pair.changed(pair.one(*key), change))


@pytest.mark.parametrize(("key", "change", "text"), NOT_APPLIED)
def test_an_object_that_argocd_would_leave_out_or_bring_late_is_noticed(
    key: Key, change: Change, text: str, pair: Tree
) -> None:
    assert text in faults(sync_options, pair.changed(pair.one(*key), change))


@pytest.mark.parametrize("key", [FOUNDATION, PLATFORM, GROUND, OF_PLATFORM, LOCKED, OF_CHARTS])
def test_a_folder_or_a_chart_that_nothing_delivers_is_noticed(key: Key, pair: Tree) -> None:
    assert faults(delivery, pair.without(pair.one(*key)))


@pytest.mark.parametrize("folder", ["evil", "platform/evil", "tenants/acme/evil"])
def test_an_object_in_a_folder_that_no_application_reads_is_noticed(folder: str, pair: Tree) -> None:
    deny = pair.one(*DENY)
    moved = replace(deny, place=(*folder.split("/"), "acme-train", deny.place[-1]))
    tree = Tree(tuple(moved if each is deny else each for each in pair.documents))
    assert "no Application reads" in faults(delivery, tree)


def test_an_application_beside_those_of_the_tree_is_noticed(pair: Tree) -> None:
    ground = pair.one(*GROUND)
    body = {**ground.body, "metadata": {**ground.body["metadata"], "name": "evil"}}
    assert "neither the platform's" in faults(
        delivery, Tree((*pair.documents, Document(ground.file, body, {}, ground.place)))
    )
