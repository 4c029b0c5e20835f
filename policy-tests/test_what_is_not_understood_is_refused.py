"""Input that two readers could take differently, or that the evaluator does not know, is refused with its place."""

import contextlib
import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isolation.manifests.files import MAX_FILE_BYTES
from isolation.manifests.reading import read_documents
from isolation.manifests.refusals import Refused
from isolation.manifests.tree import Document, Tree
from isolation.policies.parsing import parse_policy
from isolation.proof import prove, prove_tree

Find = Callable[[str], Document]
Body = dict[str, Any]


def first(spec: Body) -> Body:
    found: Body = spec["egress"][0]
    return found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: yes", "'yes' is read differently"),
        ("a: 0o14", "'0o14' is read differently"),
        ("a: y", "'y' is read differently"),
        ("a: 014", "'014' is read differently"),
        ("a: 2026-01-01", "'2026-01-01' is read differently"),
        ("a: ~", "'~' is read differently"),
        ("a: 1\na: 2", "key 'a' stands twice"),
        ("a: &x [1]\nb: *x", "an anchor is used twice"),
        ("<<: {a: 1}", "`<<` merges mappings for some readers only"),
        ("yes: 1", "'yes' is read differently"),
        ("a: !!python/none x", "is read differently"),
        ("1: a", "key 1 is no string"),
        ("- a", "is no mapping"),
        ("? [a]\n: b", "a key is no string"),
        ("a: [", "is no YAML"),
        ("a: " + "[" * 80 + "]" * 80, "nested deeper"),
    ],
)
def test_yaml_that_readers_disagree_on_is_refused(text: str, why: str) -> None:
    with pytest.raises(Refused, match="f:") as refused:
        list(read_documents(text, where="f"))
    assert why in str(refused.value)


UNKNOWN: list[tuple[Callable[[Body], object], str]] = [
    (lambda spec: spec.update(priority=1), "spec.priority: field `priority` is not understood"),
    (lambda spec: first(spec).update(toFQDN=[]), "spec.egress[0].toFQDN: field `toFQDN` is not understood"),
    (lambda spec: spec.update(egressDeny=[{"toFQDNs": []}]), "spec.egressDeny[0].toFQDNs: field `toFQDNs`"),
    (lambda spec: first(spec)["toPorts"][0].update(listener={"name": "x"}), "spec.egress[0].toPorts[0].listener: a"),
    (lambda spec: first(spec)["toPorts"][0]["ports"][0].update(port=443), "spec.egress[0].toPorts[0].ports[0].port: "),
    (lambda spec: spec.update(egress={}), "spec.egress: a mapping is no list"),
    (lambda spec: first(spec)["toEndpoints"][0].update(matchAny=[]), "field `matchAny` is not understood"),
    (lambda spec: first(spec)["toEndpoints"][0]["matchLabels"].update({"cidr:x": "1"}), "label source 'cidr'"),
    (lambda spec: spec.update(egress=[{"toGroups": [{"aws": {}}]}]), "groups of a cloud are not understood"),
    (lambda spec: spec.update(egress=[{"toCIDRSet": [{"cidrGroupRef": "x"}]}]), "a group of addresses is not in the"),
]


@pytest.mark.parametrize(("change", "why"), UNKNOWN)
def test_a_field_that_is_not_understood_is_refused_with_its_place(
    change: Callable[[Body], object], why: str, tree: Tree, policy: Find
) -> None:
    bucket = policy("acme-train/bucket")
    with pytest.raises(Refused) as refused:
        prove_tree(tree.changed(bucket, lambda body: change(body["spec"])))
    assert why in str(refused.value)
    assert refused.value.where.startswith(f"{bucket.file}:")


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy"),
        ("cilium.io/v2", "CiliumLocalRedirectPolicy"),
        ("cilium.io/v2", "CiliumEgressGatewayPolicy"),
        ("v1", "List"),
    ],
)
def test_another_kind_that_decides_flows_is_refused(api_version: str, kind: str, tree: Tree, policy: Find) -> None:
    changed = tree.changed(policy("acme-train/bucket"), lambda body: body.update(apiVersion=api_version, kind=kind))
    with pytest.raises(Refused, match=f"{kind} is not understood"):
        prove_tree(changed)


def test_another_version_of_cilium_is_refused(tree: Tree) -> None:
    def change(body: Body) -> None:
        body["data"] = {key: text.replace('"1.20"', '"1.21"') for key, text in body["data"].items()}

    changed = tree.changed(tree.one("ConfigMap", "tenon-system", "cluster-profile"), change)
    with pytest.raises(Refused, match=r"Cilium 1\.21 is not understood"):
        prove_tree(changed)


def test_a_tree_without_profile_or_tenants_or_files_is_not_provable(tree: Tree, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cluster-profile: 0 in the tree"):
        prove_tree(tree.without(tree.one("ConfigMap", "tenon-system", "cluster-profile")))
    with pytest.raises(Refused, match="holds no tenant"):
        prove_tree(Tree(tuple(d for d in tree.documents if d.place[0] == "platform")))
    with pytest.raises(Refused, match="run `tenon render` first"):
        prove(tmp_path)


JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, "", "x", "*", [], {}, [None], [{}], {"x": 1}, ["x"], [["x"]], {"x": {}}]
)

GO_ON: st.SearchStrategy[Any] = st.sampled_from([True, True, False])


def steps(place: Any) -> list[Any]:
    return list(place) if isinstance(place, dict) else list(range(len(place)))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("reference", ["acme-train/dns", "acme-train/egress", "acme-train/default-deny"])
def test_a_policy_with_any_value_replaced_is_judged_or_refused_and_never_a_crash(
    reference: str, data: st.DataObject, policy: Find
) -> None:
    document = policy(reference)
    body = copy.deepcopy(document.body)
    place: Any = body["spec"]
    while (keys := steps(place)) and data.draw(GO_ON):
        step = data.draw(st.sampled_from(keys))
        if not isinstance(place[step], dict | list) or not place[step]:
            break
        place = place[step]
    if keys:
        place[data.draw(st.sampled_from(keys))] = data.draw(JUNK)
    with contextlib.suppress(Refused):
        parse_policy(replace(document, body=body), cluster="default")


def test_files_over_the_bounds_or_outside_of_the_tree_are_refused(tmp_path: Path) -> None:
    (tmp_path / "core_configmap_a.yaml").write_text("#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(Refused, match="is larger than"):
        prove(tmp_path)
    (tmp_path / "core_configmap_a.yaml").unlink()
    (tmp_path / "core_configmap_a.yaml").symlink_to("/etc/hostname")
    with pytest.raises(Refused, match="is a symbolic link"):
        prove(tmp_path)
