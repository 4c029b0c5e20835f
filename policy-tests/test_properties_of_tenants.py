"""What holds of every tenant, however it is called: another one changes nothing for the others; names mean nothing."""

from random import Random

import pytest
from differential.renaming import renamed, spelling, with_twin
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from isolation.classes.cluster import Cluster, cluster_of
from isolation.manifests.tree import Tree
from isolation.policies.labels import NAMESPACE
from isolation.proof import Proof, prove_tree
from isolation.verdicts.world import FlowVerdict

IDS = st.from_regex(r"[a-z][a-z0-9]{1,10}(-[a-z0-9]{1,8})?z[0-9]", fullmatch=True)
WITNESS = ": without it "  # what follows is one of the flows that would open, the first by name
FEW = settings(deadline=None, phases=[Phase.generate])  # a proof per example: one that fails is shown, not made smaller
GLOBEX = {"matchLabels": {f"k8s:{NAMESPACE}": "globex-train"}}
TENANTS = st.sampled_from(["acme", "globex"])


@pytest.fixture(scope="module")
def proofs(pair: Tree) -> dict[str, tuple[Tree, Proof]]:
    """Two trees and what is proved of them: as rendered, and with a rule that opens one tenant's pods to another's."""
    egress = pair.one("CiliumNetworkPolicy", "acme-train", "egress")
    opened = pair.changed(egress, lambda body: body["spec"]["egress"].append({"toEndpoints": [GLOBEX]}))
    return {"proved": (pair, prove_tree(pair)), "broken": (opened, prove_tree(opened))}


def certificate(proof: Proof, old: str, new: str) -> object:
    """Everything that the proof says, with one tenant called by another name; order does not count."""
    say = spelling(old, new)
    assert not any(r.more for r in proof.results), "the first of many counter-examples are those of the first names"
    return {
        "tenants": {say(name) for name in proof.tenants},
        "figures": (proof.classes, proof.pairs, proof.flows),
        "allowed": {say(str(flow)) for flow in proof.allowed},
        "results": {r.name: (r.asked, {say(str(fault)) for fault in r.broken}) for r in proof.results},
        "evidence": {r.name: {say(line).split(WITNESS)[0] for line in r.evidence} for r in proof.results},
    }


def verdicts(cluster: Cluster, asked: Cluster, *, seed: int) -> dict[str, FlowVerdict]:
    """200 flows between parties of `asked`, put to `cluster`, which knows parties of the same names."""
    draw = Random(seed)
    known = {str(party): party.identity for party in cluster.parties}
    names = sorted(str(party) for party in asked.parties)
    flows = [(draw.choice(names), draw.choice(names), draw.choice(asked.ports)) for _ in range(200)]
    return {f"{a} -> {b} {port}": cluster.world.flow(known[a], known[b], port) for a, b, port in flows}


@settings(FEW, max_examples=3)
@given(new=IDS, like=TENANTS, seed=st.integers(0, 1 << 20))
def test_adding_a_tenant_changes_no_verdict_among_the_others(new: str, like: str, seed: int, pair: Tree) -> None:
    before, after = cluster_of(pair), cluster_of(with_twin(pair, like, new))
    assert new in after.classes.tenants
    ours, theirs = verdicts(before, before, seed=seed), verdicts(after, before, seed=seed)
    assert {name: flow.is_allowed for name, flow in ours.items()} == {name: f.is_allowed for name, f in theirs.items()}


@settings(FEW, max_examples=2)
@given(new=IDS, like=TENANTS)
def test_adding_a_tenant_opens_and_closes_nothing_that_does_not_name_it(
    new: str, like: str, proofs: dict[str, tuple[Tree, Proof]]
) -> None:
    tree, before = proofs["proved"]
    after = prove_tree(with_twin(tree, like, new))
    assert {str(flow) for flow in after.allowed if new not in str(flow)} == {str(flow) for flow in before.allowed}


@pytest.mark.parametrize("state", ["proved", "broken"])
@settings(FEW, max_examples=2)
@given(new=IDS, old=TENANTS)
def test_renaming_a_tenant_renames_the_certificate_and_nothing_else(
    state: str, new: str, old: str, proofs: dict[str, tuple[Tree, Proof]]
) -> None:
    tree, before = proofs[state]
    assert before.holds == (state == "proved")
    assert certificate(prove_tree(renamed(tree, old, new)), new, new) == certificate(before, old, new)
