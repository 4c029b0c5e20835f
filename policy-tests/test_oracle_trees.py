"""Of the rendered trees, Cilium's own engine says what the judge says, and asked directly it says that they hold."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from controlplane.oracle import Oracle
from differential import compare, reproof, worlds
from differential.compare import Comparison
from isolation.classes.cluster import Cluster, cluster_of
from isolation.manifests.tree import Document, Tree

from generators import versions

pytestmark = pytest.mark.oracle

SIDES = 1_000_000  # fewer questions than this about a whole tree would mean that parties or ports are missing


@pytest.fixture(params=["tree", "aws", "mesh"])
def judged(request: pytest.FixtureRequest) -> Cluster:
    """The repository's tree and those of the options, each with everyone that the judge asks about."""
    return cluster_of(request.getfixturevalue(request.param))


def shown(what: str, found: Comparison) -> None:
    print(f"\n{what}: {found.asked} asked, {len(found.mismatches)} wrong", flush=True)
    assert not found.mismatches[:20]


@pytest.mark.requirement("A24", "N1")
def test_every_side_of_every_pair_on_every_port_is_what_ciliums_engine_says(judged: Cluster, oracle: Oracle) -> None:
    found = compare.sides(oracle, judged)
    shown("sides of flows, ours and the engine's", found)
    assert found.asked > SIDES


@pytest.mark.requirement("A24", "N1")
def test_objects_flows_and_the_rules_that_decided_are_what_ciliums_engine_says(judged: Cluster, oracle: Oracle) -> None:
    found = compare.lines(oracle, worlds.world_of(judged), list(worlds.flows_of(judged)))
    shown("objects and flows with their rules, ours and the engine's", found)


@pytest.mark.requirement("A24", "N1")
def test_every_name_is_answered_or_refused_as_ciliums_engine_says(judged: Cluster, oracle: Oracle) -> None:
    found = compare.lines(oracle, worlds.world_of(judged), list(worlds.queries_of(judged)))
    shown("queries, ours and the engine's", found)


@pytest.mark.requirement("N1")
@pytest.mark.parametrize(
    "claim", [reproof.crossings, reproof.dead_edges, reproof.foreign_names, reproof.unanswered_names]
)
def test_the_engine_itself_proves_isolation_and_life(
    claim: Callable[[Oracle, Cluster], Comparison], judged: Cluster, oracle: Oracle
) -> None:
    found = claim(oracle, judged)
    shown(f"engine alone, {claim.__name__}", found)
    assert found.asked


DAMAGE: dict[Callable[[Oracle, Cluster], Comparison], str] = {
    reproof.crossings: "acme-serve/default-deny",
    reproof.dead_edges: "storage/s3-acme",
    reproof.unanswered_names: "acme-serve/dns",
}


@pytest.mark.parametrize("claim", DAMAGE, ids=lambda claim: claim.__name__)
def test_the_engine_alone_notices_a_policy_that_is_missing(
    claim: Callable[[Oracle, Cluster], Comparison], tree: Tree, policy: Callable[[str], Document], oracle: Oracle
) -> None:
    assert claim(oracle, cluster_of(tree.without(policy(DAMAGE[claim])))).mismatches


def test_the_engine_alone_notices_a_name_of_another_tenant(
    tree: Tree, policy: Callable[[str], Document], oracle: Oracle
) -> None:
    def widen(body: dict[str, Any]) -> None:
        body["spec"]["egress"][0]["toPorts"][0]["rules"]["dns"].append({"matchPattern": "tenon-globex.**"})

    assert reproof.foreign_names(oracle, cluster_of(tree.changed(policy("acme-train/dns"), widen))).mismatches


def test_the_comparison_notices_rules_that_are_not_the_policies(
    tree: Tree, policy: Callable[[str], Document], cluster: Cluster, oracle: Oracle
) -> None:
    """The engine gets the policies, the judge decides by the rules of one policy less."""
    without = cluster_of(tree.without(policy("acme-train/status")))
    pods = tuple(each for each in cluster.classes.all if each.namespace in {"acme-train", "tenon-system"})
    few = replace(cluster, world=without.world, classes=replace(cluster.classes, all=pods), outsiders=())
    found = compare.sides(oracle, few).mismatches
    assert found
    assert all("acme-train/" in each for each in found)


def test_the_engine_is_the_pinned_one(oracle: Oracle) -> None:
    (world,) = oracle.ask([{"type": "world", "policies": []}])
    assert world["engine"] == f"v{versions.CILIUM_RELEASE}"
