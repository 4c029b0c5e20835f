"""Each policy kind dropped or widened, in memory, breaks an invariant; each invariant is broken by a mutant."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from isolation.manifests.tree import Document, Tree
from isolation.proof import INVARIANTS
from mutants.of_policies import DROPPED, WIDENED, Body, egress

Find = Callable[[str], Document]
Breaks = Callable[[Tree, str], bool]

ELSEWHERE = {"own-place", "no-bypass", "settings", "effective", "backends", "accounted"}  # tests of their own, below


@pytest.mark.requirement("H12")
@pytest.mark.parametrize("reference", DROPPED)
def test_a_dropped_policy_is_noticed(reference: str, tree: Tree, policy: Find, breaks: Breaks) -> None:
    assert breaks(tree.without(policy(reference)), DROPPED[reference])


@pytest.mark.requirement("H13", "H14")
@pytest.mark.parametrize("mutant", WIDENED, ids=lambda mutant: f"{mutant[0]} {mutant[2]}")
def test_a_widened_policy_is_noticed(
    mutant: tuple[str, Callable[[Body], object], str], tree: Tree, policy: Find, breaks: Breaks
) -> None:
    reference, widen, invariant = mutant

    def change(body: Body) -> None:
        widen(body["spec"])

    assert breaks(tree.changed(policy(reference), change), invariant)


def test_a_namespace_that_takes_anothers_plane_is_noticed(tree: Tree, breaks: Breaks) -> None:
    namespace = tree.one("Namespace", None, "monitoring")

    def change(body: Body) -> None:
        body["metadata"]["labels"]["tenon.dev/plane"] = "train"

    assert breaks(tree.changed(namespace, change), "own-place")


def test_a_tenants_object_in_anothers_namespace_is_noticed(tree: Tree, policy: Find, breaks: Breaks) -> None:
    def change(body: Body) -> None:
        body["metadata"]["namespace"] = "globex-train"

    assert breaks(tree.changed(policy("acme-train/bucket"), change), "own-place")


@pytest.mark.parametrize("change", [{"kind": "EndpointSlice"}, {"spec": {"hostNetwork": True}}])
def test_an_object_that_goes_around_the_policies_is_noticed(change: Body, tree: Tree, breaks: Breaks) -> None:
    service = tree.one("Service", "storage", "tenon-acme")
    assert breaks(tree.changed(service, lambda body: body.update(change)), "no-bypass")


@pytest.mark.parametrize(
    ("value", "other"),
    [
        ('"default"', '"never"'),
        ('"l7Proxy": true', '"l7Proxy": false'),
        ('"l7Proxy": true', '"l7Proxy": true, "hostFirewall": {"enabled": true}'),
        ('"l7Proxy": true', '"l7Proxy": true, "nodeSelectorLabels": true'),
        ('"enabled": false', '"enabled": true'),
        ('"enabled": true', '"enabled": false'),
        (r"serviceaccount", r"another"),
        ('"labels": "k8s:', '"labels": "!k8s:'),
    ],
)
def test_a_setting_of_cilium_that_the_proof_rests_on_is_noticed(
    value: str, other: str, tree: Tree, breaks: Breaks
) -> None:
    def change(body: Body) -> None:
        (key,) = body["data"]
        assert value in body["data"][key]
        body["data"][key] = body["data"][key].replace(value, other)

    assert breaks(tree.changed(tree.one("ConfigMap", "tenon-system", "cilium-values"), change), "settings")


@pytest.mark.parametrize(
    ("value", "other"), [('"IPv4"', '"IPv6"'), ("tenon.dev/plane", "app"), ('Addresses": false', 'Addresses": true')]
)
def test_a_profile_that_differs_from_what_is_rendered_is_noticed(
    value: str, other: str, tree: Tree, breaks: Breaks
) -> None:
    def change(body: Body) -> None:
        body["data"] = {key: text.replace(value, other) for key, text in body["data"].items()}

    assert breaks(tree.changed(tree.one("ConfigMap", "tenon-system", "cluster-profile"), change), "settings")


@pytest.mark.parametrize(
    ("reference", "change"),
    [
        ("acme-train/egress", lambda spec: spec["egressDeny"][0].update(toCIDR=["10.0.0.1"])),
        ("acme-train/egress", lambda spec: egress(spec)["toPorts"][0].update(serverNames=[])),
        ("acme-train/egress", lambda spec: egress(spec).update(toCIDR=["10.0.0.0/8"])),
    ],
)
def test_a_policy_that_the_agent_or_the_api_server_refuses_is_noticed(
    reference: str, change: Callable[[Body], object], tree: Tree, policy: Find, breaks: Breaks
) -> None:
    assert breaks(tree.changed(policy(reference), lambda body: change(body["spec"])), "accepted")


def test_a_policy_that_says_what_another_says_is_noticed(tree: Tree, policy: Find, breaks: Breaks) -> None:
    status = policy("acme-train/status")
    copy = replace(status, body={**status.body, "metadata": {**status.body["metadata"], "name": "status-again"}})
    assert breaks(Tree((*tree.documents, copy)), "effective")


@pytest.mark.parametrize("selector", [{"app.kubernetes.io/name": "s3-globex"}, {"app.kubernetes.io/name": "filer"}, {}])
def test_a_service_that_leads_a_buckets_name_to_other_pods_is_noticed(
    selector: Body, tree: Tree, breaks: Breaks
) -> None:
    service = tree.one("Service", "storage", "tenon-acme")
    assert breaks(tree.changed(service, lambda body: body["spec"].update(selector=selector)), "backends")


def test_a_pod_of_an_account_that_is_not_rendered_is_noticed(tree: Tree, breaks: Breaks) -> None:
    gateway = tree.one("Deployment", "storage", "s3-acme")

    def change(body: Body) -> None:
        body["spec"]["template"]["spec"]["serviceAccountName"] = "s3-acme-2"

    assert breaks(tree.changed(gateway, change), "accounted")


def test_every_invariant_has_a_mutant_that_breaks_it() -> None:
    tried = {*DROPPED.values(), *(invariant for _, _, invariant in WIDENED), *ELSEWHERE}
    assert tried == {invariant.__name__.replace("_", "-") for invariant in INVARIANTS}
