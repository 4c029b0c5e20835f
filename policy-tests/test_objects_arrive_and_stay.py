"""What the API server refuses, names anew or takes away enforces nothing; and what opens a Service beyond its pods."""

from typing import Any

import pytest
from isolation.manifests.tree import Tree
from isolation.objects.metadata import object_metadata
from isolation.objects.traffic import services
from mutants.mutant import Change, at, drop, inventory_of

GONE = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "0"}]
OBJECTS = {
    "deny": ("NetworkPolicy", "acme-train", "default-deny"),
    "dns": ("CiliumNetworkPolicy", "acme-train", "dns"),
    "account": ("ServiceAccount", "acme-serve", "model"),
    "namespace": ("Namespace", None, "acme-serve"),
    "service": ("Service", "tenon-system", "router"),
}


@pytest.mark.parametrize("name", ["deny", "dns", "account", "namespace", "service"])
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (at("metadata/ownerReferences", GONE), "metadata.ownerReferences is none of"),
        (at("metadata/finalizers", ["example.com/hold"]), "metadata.finalizers is none of"),
        (at("metadata/generateName", "x-"), "metadata.generateName is none of"),
        (drop("metadata/name"), "metadata.name None is no name"),
        (at("metadata/name", "Default_Deny"), "is no name of a"),
        (at("metadata/name", "x" * 254), "is no name of a"),
        (at("metadata/namespace", 7), "metadata.namespace 7 is no name of a namespace"),
        (at("metadata/labels/reviewed", "-bad value-"), "which is no word"),
        (at("metadata/labels/reviewed", "x" * 64), "which is no word of at most 63"),
        (at("metadata/labels/reviewed", value=True), "quote numbers"),
        (at("metadata/labels/k8s:reviewed", "yes"), "holds a colon"),
        (at("metadata/labels/argocd.argoproj.io~instance", "other"), "is Argo CD's own"),
        (at("metadata/labels", []), "metadata.labels is no mapping"),
        (at("metadata/annotations/reviewed", 1), "which is no text"),
        (at("metadata/annotations/two words", "a"), "is no word of at most 63"),
        (at("metadata/annotations/reviewed", "x" * (256 << 10)), "longer than 262144 bytes"),
        (at("metadata", []), "has no metadata"),
    ],
)
def test_metadata_that_keeps_an_object_away_is_a_fault(name: str, change: Change, why: str, pair: Tree) -> None:
    faults = object_metadata(inventory_of(only(pair, name, change))).broken
    assert any(why in fault.what for fault in faults), faults


@pytest.mark.parametrize(
    ("name", "key"), [("deny", "rules"), ("dns", "status"), ("account", "secrets"), ("namespace", "spec")]
)
def test_what_isolates_has_no_field_beside_its_rules(name: str, key: str, pair: Tree) -> None:
    (fault,) = object_metadata(inventory_of(only(pair, name, at(key, {})))).broken
    assert fault.what.startswith(f"{key} is none of apiVersion, ")


@pytest.mark.requirement("H15")
@pytest.mark.parametrize("place", [("acme-serve", "replies-stable"), ("tenon-system", "router")])
@pytest.mark.parametrize(
    "added",
    [
        {"clusterIP": "10.96.0.10"},
        {"clusterIPs": ["10.96.0.10"]},
        {"externalIPs": ["192.0.2.7"]},
        {"externalName": "elsewhere.example"},
        {"loadBalancerIP": "192.0.2.7"},
        {"type": "LoadBalancer"},
        {"type": "NodePort"},
        {"selector": {}},
        {"healthCheckNodePort": 30001},
        {"ports": [{"port": 80, "nodePort": 30000}]},
    ],
    ids=str,
)
def test_a_service_is_found_inside_by_its_pods_and_not_otherwise(
    place: tuple[str, str], added: dict[str, Any], pair: Tree
) -> None:
    changed = pair.changed(pair.one("Service", *place), lambda body: body["spec"].update(added))
    assert not services(inventory_of(changed)).holds


def only(tree: Tree, name: str, change: Change) -> Tree:
    """The tree with one of OBJECTS changed. The rest is the profile, which an inventory cannot do without."""
    wanted = tree.one(*OBJECTS[name])
    kept = (each for each in tree.of_kind("ConfigMap") if each.namespace == "tenon-system")
    return Tree((wanted, *(each for each in kept if each is not wanted))).changed(wanted, change)
