"""A tenant with Ray Serve opens ports between its own model servers, and nothing else; each widening is noticed."""

from collections.abc import Callable
from typing import Any

import pytest
from isolation.classes.cluster import Cluster, cluster_of
from isolation.manifests.tree import Tree
from isolation.proof import INVARIANTS

RAY, DNS = "ray", "dns"
NAMESPACE, ACCOUNT = "k8s:io.kubernetes.pod.namespace", "k8s:io.cilium.k8s.policy.serviceaccount"
HEAD = "importer-*-head-svc"
Body = dict[str, Any]


@pytest.fixture(scope="module")
def proved(aws: Tree) -> Cluster:
    return cluster_of(aws)


@pytest.mark.parametrize("ask", INVARIANTS, ids=lambda ask: ask.__name__)
def test_every_invariant_holds_beside_ray(ask: Callable[[Cluster], Any], proved: Cluster) -> None:
    assert ask(proved).broken == ()


@pytest.mark.requirement("D69")
@pytest.mark.parametrize(
    ("name", "widen", "invariant"),
    [
        (RAY, lambda spec: spec["ingress"][0]["fromEndpoints"][0]["matchLabels"].pop(ACCOUNT), "closed"),
        (RAY, lambda spec: spec["ingress"][0]["fromEndpoints"].append({}), "closed"),
        (
            RAY,
            lambda spec: spec["egress"][0]["toEndpoints"].append({"matchLabels": {NAMESPACE: "umbrella-serve"}}),
            "apart",
        ),
        (RAY, lambda spec: spec["ingress"][1].pop("toPorts"), "closed"),
        (RAY, lambda spec: spec["ingress"].append({"fromEntities": ["cluster"]}), "apart"),
        (
            DNS,
            lambda spec: _names(spec).append({"matchPattern": f"{HEAD}.umbrella-serve.svc.cluster.local"}),
            "names",
        ),
        (DNS, lambda spec: _names(spec).append({"matchPattern": "*.vandelay-serve.svc.cluster.local"}), "names"),
    ],
)
def test_a_widened_policy_of_a_ray_tenant_is_noticed(
    name: str, widen: Callable[[Body], object], invariant: str, aws: Tree
) -> None:
    def change(body: Body) -> None:
        widen(body["spec"])

    mutant = aws.changed(aws.one("CiliumNetworkPolicy", "vandelay-serve", name), change)
    (ask,) = (ask for ask in INVARIANTS if ask.__name__ == invariant)
    assert not ask(cluster_of(mutant)).holds


def test_tenants_without_ray_open_none_of_its_ports(aws: Tree) -> None:
    found = {document.namespace for document in aws.of_kind("CiliumNetworkPolicy") if document.name == RAY}

    assert found == {"vandelay-serve"}


def _names(spec: Body) -> list[Body]:
    found: list[Body] = spec["egress"][0]["toPorts"][0]["rules"]["dns"]
    return found
