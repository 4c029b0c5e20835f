"""What two rendered trees differ in: objects, GPUs and money, rights, removals."""

from typing import Any

import pytest

from generators.changes.access import access_changes
from generators.changes.gpus import gpu_changes
from generators.changes.objects import Files, NoObjectError, compare, object_changes
from generators.changes.removals import removal_changes, removed_places
from generators.rendering import Rendering
from generators.writing import to_yaml

ACME = "eu1/tenants/acme"
QUOTA = f"{ACME}/foundation/acme-serve/core_resourcequota_serving"


@pytest.fixture(scope="session")
def tree(rendering: Rendering) -> dict[str, bytes]:
    return {path.removeprefix("rendered/"): text.encode() for path, text in rendering.files.items()}


def without(tree: Files, folder: str) -> Files:
    return {path: content for path, content in tree.items() if not path.startswith(folder)}


def edited(tree: Files, part: str, old: str, new: str) -> Files:
    (path,) = (path for path in tree if part in path)
    assert old in tree[path].decode()
    return {**tree, path: tree[path].decode().replace(old, new, 1).encode()}


def role(**rule: Any) -> Files:
    """A role of acme's owners with one rule, and its binding."""
    metadata = {"name": "owners", "namespace": "acme-train"}
    group = "rbac.authorization.k8s.io"
    reference = {"apiGroup": group, "kind": "Role", "name": "owners"}
    subjects = [{"apiGroup": group, "kind": "Group", "name": "tenon:acme"}]
    bodies = [
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": reference,
            "subjects": subjects,
        },
    ]
    folder = f"{ACME}/foundation/acme-train"
    return {f"{folder}/{group}_{body['kind']}.yaml": to_yaml(body, source="x").encode() for body in bodies}


def test_a_tree_differs_from_itself_in_nothing(tree: Files) -> None:
    assert compare(tree, tree) == ()


def test_a_changed_object_names_the_fields_that_changed(tree: Files) -> None:
    head = edited(tree, QUOTA, 'nvidia.com/gpu: "4"', 'nvidia.com/gpu: "5"')
    section = object_changes(compare(tree, head))
    assert section.rows == (
        ("eu1/acme", "changed", "ResourceQuota acme-serve/serving", "spec.hard.requests.nvidia.com/gpu"),
    )
    assert section.title == "Objects: 0 added, 1 changed, 0 removed"


def test_a_file_that_holds_no_object_is_said(tree: Files) -> None:
    with pytest.raises(NoObjectError, match=r"eu1/x/y.yaml: holds no Kubernetes object"):
        compare(tree, {**tree, "eu1/x/y.yaml": b"- 1\n"})


def test_gpus_are_paid_for_a_month_whether_they_are_used_or_not(tree: Files) -> None:
    head = edited(tree, QUOTA, 'nvidia.com/gpu: "4"', 'nvidia.com/gpu: "6"')
    section = gpu_changes(compare(tree, head), tree, head)
    assert section.rows == (("eu1/acme", "t4", "2", "2", "4 -> 6", "+511.00 EUR"),)  # 2 x 730 h x 0.35
    assert section.title == "GPUs and cost: +511.00 EUR a month"


def test_a_removed_tenant_gives_its_gpus_and_their_cost_back(tree: Files) -> None:
    head = without(tree, ACME)
    (row,) = gpu_changes(compare(tree, head), tree, head).rows
    assert row == ("eu1/acme", "t4 -> none", "2 -> 0", "2 -> 0", "4 -> 0", "-1533.00 EUR")


def test_a_right_that_a_role_gains_is_shown_with_its_subject_and_place() -> None:
    base = role(apiGroups=[""], resources=["pods"], verbs=["get"])
    head = role(apiGroups=[""], resources=["pods", "secrets"], verbs=["get", "list"])
    section = access_changes(compare(base, head), base, head)
    assert section.rows == (
        ("eu1/acme", "gained", "Group tenon:acme", "list pods in acme-train"),
        ("eu1/acme", "gained", "Group tenon:acme", "get, list secrets in acme-train"),
    )


def test_a_role_that_only_moves_its_rules_changes_no_right() -> None:
    base = role(apiGroups=[""], resources=["pods", "events"], verbs=["get"])
    head = role(apiGroups=[""], resources=["events", "pods"], verbs=["get"])
    assert access_changes(compare(base, head), base, head).rows == ()


def test_a_binding_to_a_role_that_nobody_renders_is_a_right_of_its_own() -> None:
    base = role(apiGroups=[""], resources=["pods"], verbs=["get"])
    (path,) = (path for path in base if path.endswith("_RoleBinding.yaml"))
    text = base[path].decode().replace("kind: Role\n  name: owners", "kind: ClusterRole\n  name: admin")
    head = {**base, path: text.encode()}
    gained, lost = access_changes(compare(base, head), base, head).rows
    assert gained[1:] == ("gained", "Group tenon:acme", "all of ClusterRole admin in acme-train (rendered elsewhere)")
    assert lost[1:] == ("lost", "Group tenon:acme", "get pods in acme-train")


def test_a_removed_tenant_says_what_is_pruned_what_waits_and_what_to_export(tree: Files) -> None:
    head = without(tree, ACME)
    section = removal_changes(compare(tree, head), tree, head)
    assert section.rows[:4] == (
        ("eu1/acme", "tenant", "all of it is removed"),
        ("eu1/acme", "export first", "bucket tenon-acme (models replies)"),
        ("eu1/acme", "kept until confirmed", "Namespace acme-serve"),
        ("eu1/acme", "kept until confirmed", "Namespace acme-train"),
    )
    assert ("eu1/acme", "pruned", "1 ClusterQueue") in section.rows


def test_a_namespace_that_goes_without_its_tenant_is_counted_too(tree: Files) -> None:
    head = without(without(tree, "eu1/tenants/globex"), f"{ACME}/foundation/_cluster/core_namespace_acme-train")
    assert removed_places(compare(tree, head), tree, head) == ("eu1/globex", "eu1/acme: Namespace acme-train")


def test_a_renamed_tenant_is_known_by_its_callers(tree: Files) -> None:
    head = {path.replace("acme", "apex"): text for path, text in tree.items()}  # the directory keeps its callers
    rows = removal_changes(compare(tree, head), tree, head).rows
    (found,) = (row for row in rows if row[1] == "renamed?")
    assert str(found[2]).startswith("eu1/apex has its callers")
