"""Judging some tenants of each shape says of every tenant what judging all of them says (manifests/shapes.py)."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from differential.renaming import with_twin
from isolation.manifests.refusals import Refused
from isolation.manifests.shapes import KINDS, REPRESENTATIVES, reduced
from isolation.manifests.tree import Document, Tree
from isolation.policies.labels import ACCOUNT, NAMESPACE
from isolation.policies.parsing import POLICY_KINDS
from isolation.proof import prove_tree

Body = dict[str, Any]
ALL = 1000

# Ids that look like words of the files, of the judge, of an address or of another tenant; and some that do not.
ODD = ("face", "acme-labs", "watcher", "train", "a--b", "x-storage")
PLAIN = ("nova", "kiwi", "pear-tree", "lemon", "fig9", "qq0")


def lean(tree: Tree, tenants: tuple[str, ...]) -> Tree:
    """What network invariants read of these tenants, and of the platform."""
    of = {("platform", None), *(("tenants", tenant) for tenant in tenants)}
    kinds = {*KINDS, "ConfigMap"}
    whose = {d: (d.place[0], d.place[1] if d.place[0] == "tenants" else None) for d in tree.documents}
    return Tree(tuple(d for d in tree.documents if whose[d] in of and d.kind in kinds))


def answers(tree: Tree, *, most: int) -> object:
    """Everything that must not depend on how many are judged."""
    try:
        proof = prove_tree(tree, most=most)
    except Refused as refused:
        return refused.why
    held = {result.name: result.holds for result in proof.results}
    claims = {(c.tenant, c.bucket): c.locks for tenant in proof.tenants for c in proof.claims.of(tenant)}
    return proof.tenants, proof.pairs, held, [str(flow) for flow in proof.allowed], claims


def everyone_but(own: str) -> Body:
    """Rules that open the store's gateways of all other tenants to the training pods of all other tenants."""
    ports = [{"ports": [{"port": "8333", "protocol": "TCP"}]}]
    others = {"key": f"k8s:{ACCOUNT}", "operator": "NotIn", "values": [f"s3-{own}", "filer", "s3-models"]}
    peers = {"matchExpressions": [{"key": f"k8s:{NAMESPACE}", "operator": "NotIn", "values": [f"{own}-train"]}]}
    return {
        "endpointSelector": {"matchExpressions": [others]},
        "ingress": [{"fromEndpoints": [peers], "toPorts": ports}],
    }


def selecting(namespace: str, account: str) -> Body:
    return {"matchLabels": {f"k8s:{NAMESPACE}": namespace, f"k8s:{ACCOUNT}": account}}


MUTATIONS: tuple[Callable[[Body], object], ...] = (
    lambda spec: spec.copy(),  # as it was
    lambda spec: spec.update(endpointSelector={}),
    lambda spec: spec.update(ingress=[{"fromEntities": ["cluster"]}]),
    lambda spec: spec.update(ingress=[{"fromEndpoints": [{}]}]),
    lambda spec: spec.update(egress=[{"toEndpoints": [selecting("globex-train", "trainer")]}]),
    lambda spec: spec.update(egress=[{"toEndpoints": [selecting("kiwi-serve", "model")]}]),
    lambda spec: spec.update(egress=[{"toEntities": ["watcher"]}]),
    lambda spec: spec.update(egress=[{"toCIDR": ["fe80::face/128"]}]),
    lambda spec: spec.update(egressDeny=[{"toEntities": ["all"]}]),
    lambda spec: spec.update(egress=[{"toFQDNs": [{"matchPattern": "*.a*.example"}]}]),
    lambda spec: spec.update(
        egress=[{"toPorts": [{"ports": [{"port": "53"}], "rules": {"dns": [{"matchPattern": "*"}]}}]}]
    ),
    lambda spec: spec.update(ingress=[{"fromEndpoints": [{"matchLabels": {"app": "nova"}}]}]),
)


def random_tree(tree: Tree, draw: Random) -> Tree:
    """A tenant of the tree and three or four copies of it, of which one policy was changed, in all of them or in one;
    perhaps one with an odd id, and another tenant."""
    like, other = draw.sample(sorted({d.place[1] for d in tree.documents if d.place[0] == "tenants"}), 2)
    made = lean(tree, draw.choice([(like,), (like, other)]))
    is_late = draw.random() < 0.3
    plain = draw.sample(PLAIN, 4 if is_late else 3)
    if draw.random() < 0.5:
        made = with_twin(made, like, draw.choice(ODD))
    if is_late:
        for new in plain:
            made = with_twin(made, like, new)
    changed = draw.choice(plain) if is_late else like
    policies = [d for d in made.documents if d.kind in POLICY_KINDS and d.place[:2] == ("tenants", changed)]
    mutation = draw.choice(MUTATIONS)
    made = made.changed(draw.choice(policies), lambda body: mutation(body["spec"]))
    for new in () if is_late else plain:
        made = with_twin(made, like, new)
    return made


@pytest.mark.requirement("A24")
@pytest.mark.parametrize("seed", range(20))
def test_what_is_said_of_all_is_what_judging_all_says(seed: int, tree: Tree) -> None:
    made = random_tree(tree, Random(seed))
    assert answers(made, most=3) == answers(made, most=ALL)


def test_most_of_these_trees_are_judged_in_part(tree: Tree) -> None:
    made = [random_tree(tree, Random(seed)) for seed in range(20)]
    parts = [reduced(each, most=3) for each in made]
    assert sum(bool(part.alike) for part in parts) > 9


def twins(tree: Tree, change: Callable[[Document], Tree] | None = None) -> Tree:
    """Acme and four copies of it."""
    made = lean(tree, ("acme",))
    if change is not None:
        made = change(next(d for d in made.documents if d.name == "s3-acme" and d.kind == "CiliumNetworkPolicy"))
    for new in ("nova", "kiwi", "pear-tree", "lemon"):
        made = with_twin(made, "acme", new)
    return made


def test_a_rule_of_a_third_tenant_shows_with_enough_of_a_shape_and_not_with_fewer(tree: Tree) -> None:
    """Each tenant's rule is about the others only; and that it could be left out takes a fourth to see."""
    made = twins(tree, lambda d: lean(tree, ("acme",)).changed(d, lambda body: body.update(spec=everyone_but("acme"))))
    whole = answers(made, most=ALL)
    assert {most: answers(made, most=most) == whole for most in (1, 4)} == {1: False, 4: True}
    assert REPRESENTATIVES >= 4


def test_of_many_tenants_of_one_shape_few_are_judged_and_all_are_spoken_of(tree: Tree) -> None:
    proof = prove_tree(twins(tree), most=3)
    assert len(proof.judged) == 3
    assert len(proof.tenants) == 5
    assert {flow.tenant for flow in proof.allowed} == {"", *proof.tenants}


@pytest.mark.parametrize(
    ("new", "alone", "why"),
    [
        ("watcher", "watcher", "is a word of the platform"),
        ("face", "face", "may be a part of an address"),
        ("acme-labs", "acme", "is a word of another tenant's id"),
        ("x-storage", "x-storage", "has a word of the platform's patterns in it"),
    ],
)
def test_a_tenant_whose_id_means_something_is_judged_itself(new: str, alone: str, why: str, tree: Tree) -> None:
    made = reduced(with_twin(twins(tree), "acme", new), most=3)
    assert alone in made.judged, why
    assert all(alone not in members for members in made.alike.values())


def test_a_pattern_that_could_match_a_part_of_an_id_keeps_every_tenant(tree: Tree) -> None:
    made = twins(tree)
    policy = next(d for d in made.documents if d.place[0] == "platform" and d.kind == "CiliumNetworkPolicy")
    pattern = [{"toFQDNs": [{"matchPattern": "tenon-n*.example"}]}]
    assert reduced(made.changed(policy, lambda body: body["spec"].update(egress=pattern)), most=3).alike == {}


def test_invariants_of_representatives_see_no_other_kinds(tree: Tree) -> None:
    """So that one which reads more has nothing to ask, and says so, instead of asking a few for all."""
    part = reduced(tree)
    unread = {d for d in tree.documents if d.place[0] == "tenants" and d.kind not in KINDS}
    assert len(unread) > 50
    assert not unread & set(part.tree.documents)


@pytest.mark.parametrize("only", [("acme",), ("acme", "globex")])
def test_the_proof_of_some_tenants_is_of_every_pair_and_names_whom_it_read(only: tuple[str, ...], tree: Tree) -> None:
    proof = prove_tree(tree, only=only)
    assert (proof.holds, proof.pairs, proof.only) == (True, 6, only)
    assert set(only) <= set(proof.judged)


def test_the_proof_of_one_tenant_notices_what_it_breaks_in_the_network_and_in_its_folder(tree: Tree) -> None:
    policy = next(d for d in tree.documents if d.name == "bucket" and d.namespace == "acme-train" and "spec" in d.body)
    opened = tree.changed(policy, lambda body: body["spec"].update(egress=[{"toEntities": ["cluster"]}]))
    assert "apart" in {result.name for result in prove_tree(opened, only=("acme",)).broken}
    named = tree.changed(
        policy, lambda body: body["metadata"].update(labels={**body["metadata"]["labels"], "of": "globex-train"})
    )
    assert {result.name for result in prove_tree(named, only=("acme",)).broken} == {"own-names"}
    with pytest.raises(Refused, match="holds no tenant nobody"):
        prove_tree(tree, only=("nobody",))
