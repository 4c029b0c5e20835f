"""With Istio's gateway as the entrance every invariant holds as well, and each widening is noticed."""

from collections.abc import Callable
from typing import Any

import pytest
from isolation.classes.cluster import Cluster, cluster_of
from isolation.manifests.tree import Tree
from isolation.proof import INVARIANTS

NAMESPACE, ACCOUNT = "k8s:io.kubernetes.pod.namespace", "k8s:io.cilium.k8s.policy.serviceaccount"
Body = dict[str, Any]


@pytest.fixture(scope="module")
def proved(mesh: Tree) -> Cluster:
    return cluster_of(mesh)


@pytest.mark.requirement("B45")
@pytest.mark.parametrize("ask", INVARIANTS, ids=lambda ask: ask.__name__)
def test_every_invariant_holds_in_a_mesh(ask: Callable[[Cluster], Any], proved: Cluster) -> None:
    assert ask(proved).broken == ()


@pytest.mark.parametrize(
    ("name", "widen", "invariant"),
    [
        ("requests", lambda spec: spec["ingress"].append({"fromEntities": ["ingress"]}), "closed"),
        ("requests", lambda spec: spec["ingress"][1]["fromEndpoints"][0]["matchLabels"].pop(ACCOUNT), "closed"),
        ("requests", lambda spec: spec["ingress"].pop(1), "alive"),
        ("scrape", lambda spec: spec["ingress"][0].pop("toPorts"), "closed"),
        ("mesh", lambda spec: spec["egress"][0].pop("toPorts"), "closed"),
        ("mesh", lambda spec: spec["egress"][0]["toEndpoints"][0]["matchLabels"].pop(ACCOUNT), "closed"),
        (
            "mesh",
            lambda spec: spec["egress"][0]["toEndpoints"].append({"matchLabels": {NAMESPACE: "slugworth-serve"}}),
            "apart",
        ),
        (
            "dns",
            lambda spec: spec["egress"][0]["toPorts"][0]["rules"]["dns"].append(
                {"matchName": "replies-stable.slugworth-serve.svc"}
            ),
            "names",
        ),
    ],
)
def test_a_widened_policy_of_a_mesh_is_noticed(
    name: str, widen: Callable[[Body], object], invariant: str, mesh: Tree
) -> None:
    def change(body: Body) -> None:
        widen(body["spec"])

    mutant = mesh.changed(mesh.one("CiliumNetworkPolicy", "wonka-serve", name), change)
    (ask,) = (ask for ask in INVARIANTS if ask.__name__ == invariant)
    assert not ask(cluster_of(mutant)).holds


def test_an_entrance_that_reaches_more_than_models_is_noticed(mesh: Tree) -> None:
    def change(body: Body) -> None:
        body["spec"]["egress"].append({"toEntities": ["cluster"]})

    mutant = mesh.changed(mesh.one("CiliumNetworkPolicy", "gateway", "gateway"), change)
    (ask,) = (ask for ask in INVARIANTS if ask.__name__ == "closed")
    assert not ask(cluster_of(mutant)).holds
