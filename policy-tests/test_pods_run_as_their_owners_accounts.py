"""A pod runs as an account of its own folder: beside a tenant's gateway stand accounts that reach every bucket."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
from isolation.manifests.tree import Document, Tree
from mutants.mutant import Change, at, drop

POD = "spec/template/spec"
Breaks = Callable[[Tree, str], bool]


def added(tree: Tree, document: Document, *changes: Change) -> Tree:
    """The tree with one more object in the folder of one that is there."""
    body = copy.deepcopy(document.body)
    for change in changes:
        change(body)
    return Tree((*tree.documents, replace(document, body=body)))


@pytest.mark.parametrize(
    ("namespace", "account"),
    [("storage", "filer"), ("storage", "s3-models"), ("tenon-system", "ingest"), ("monitoring", "prometheus")],
)
def test_a_pod_of_a_tenants_folder_runs_as_no_account_of_the_platform(
    namespace: str, account: str, pair: Tree, breaks: Breaks
) -> None:
    gateway = pair.one("Deployment", "storage", "s3-globex")
    as_another = at(f"{POD}/serviceAccountName", account)
    second = added(pair, gateway, at("metadata/name", "second"), at("metadata/namespace", namespace), as_another)
    assert breaks(second, "accounted")


@pytest.mark.parametrize("namespace", ["acme-train", "storage"])
def test_a_pod_of_the_platform_runs_as_no_account_of_a_tenant(namespace: str, pair: Tree, breaks: Breaks) -> None:
    account = {"acme-train": "step", "storage": "s3-acme"}[namespace]
    models = pair.one("Deployment", "storage", "s3-models")
    as_another = at(f"{POD}/serviceAccountName", account)
    assert breaks(added(pair, models, at("metadata/namespace", namespace), as_another), "accounted")


@pytest.mark.parametrize("key", ["serviceAccount", None])
def test_an_account_is_named_and_by_its_one_key(key: str | None, pair: Tree, breaks: Breaks) -> None:
    gateway = pair.one("Deployment", "storage", "s3-globex")
    changed = pair.changed(gateway, drop(f"{POD}/serviceAccountName"))
    if key:
        changed = pair.changed(gateway, at(f"{POD}/{key}", "filer"))
    assert breaks(changed, "accounted")


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        ("storage", "filer2"),
        ("storage", "s3-acme"),
        ("tenon-system", "globexagent"),
        ("argocd", "globex"),
        ("globex-train", "model"),
        ("globex-train", "trainer-x"),
        ("globex-serve", "step"),
        ("acme-serve", "model"),
    ],
)
def test_a_tenants_folder_holds_the_accounts_that_each_tenant_has(
    namespace: str, name: str, pair: Tree, breaks: Breaks
) -> None:
    account = pair.one("ServiceAccount", "storage", "s3-globex")
    assert breaks(added(pair, account, at("metadata/name", name), at("metadata/namespace", namespace)), "accounted")


def test_the_platform_adds_no_account_to_a_tenants_namespace(pair: Tree, breaks: Breaks) -> None:
    account = pair.one("ServiceAccount", "storage", "filer")
    assert breaks(added(pair, account, at("metadata/namespace", "acme-serve")), "accounted")


def test_a_tenants_id_does_not_begin_as_names_of_another_do(pair: Tree, breaks: Breaks) -> None:
    for start in ("directory", "s3", "slots", "webhooks", "tenon"):
        one = pair.one("Namespace", None, "acme-serve")
        moved = replace(one, place=("tenants", f"{start}-acme", *one.place[2:]))
        assert breaks(Tree((*pair.documents, moved)), "own-place")
