"""A sample of all mutants of the rendered tree: the judge notices each, or `make mutants` recorded why it need not."""

import random

import pytest
from isolation.manifests.tree import Tree
from mutation.mutant import Mutant
from mutation.operators import mutants
from mutation.score import EQUIVALENT, WANTED, is_noticed, recorded

SAMPLE = 24
REMEDY = "is neither noticed nor recorded; `make mutants` asks the engine and writes the record anew"


@pytest.fixture(scope="module")
def every(tree: Tree) -> list[Mutant]:
    return list(mutants(tree))


@pytest.mark.requirement("N3")
def test_a_sample_of_mutants_is_noticed(every: list[Mutant], tree: Tree) -> None:
    known = recorded()
    for mutant in random.Random(len(every)).sample(every, SAMPLE):
        assert mutant.key in known or is_noticed(mutant.tree(tree)), f"{mutant.key} {REMEDY}"


def test_the_record_speaks_of_mutants_of_this_tree(every: list[Mutant]) -> None:
    assert recorded().keys() <= {mutant.key for mutant in every}, "the tree has changed; run `make mutants`"


@pytest.mark.requirement("N3")
def test_the_recorded_score_is_what_is_wanted(every: list[Mutant]) -> None:
    unnoticed = recorded()
    survivors = [key for key, outcome in unnoticed.items() if outcome != EQUIVALENT]
    differing = len(every) - (len(unnoticed) - len(survivors))
    assert len(survivors) <= (1 - WANTED) * differing


def test_every_policy_has_mutants_of_each_of_its_rules(every: list[Mutant], tree: Tree) -> None:
    mutated = {mutant.document for mutant in every}
    assert set(tree.of_kind("CiliumNetworkPolicy", "NetworkPolicy")) <= mutated
    assert len({mutant.key for mutant in every}) == len(every)
