"""A policy changes verdicts of the pods that it selects alone, so asking only them of a mutant hides nothing."""

import random

import pytest
from controlplane.oracle import Oracle
from isolation.classes.cluster import cluster_of
from isolation.manifests.tree import Tree
from isolation.policies.parsing import POLICY_KINDS
from mutation.operators import mutants
from mutation.probes import Probes

SAMPLE = 3

pytestmark = pytest.mark.oracle


@pytest.fixture
def probes(tree: Tree, oracle: Oracle) -> Probes:
    made = Probes(cluster_of(tree), oracle)
    made.load()
    return made


def test_a_mutant_changes_no_verdict_of_pods_that_it_does_not_select(probes: Probes, tree: Tree) -> None:
    of_policies = [each for each in mutants(tree) if each.document.kind in POLICY_KINDS]
    before = {subject: probes.answers(subject) for subject in probes.subjects}
    for mutant in random.Random(5).sample(of_policies, SAMPLE):
        selected = probes.selected(mutant)
        with probes.under(mutant):
            others = [subject for subject in probes.subjects if subject not in selected]
            assert [s for s in others if probes.answers(s) != before[s]] == [], mutant.key


def test_a_mutant_leaves_the_world_as_it_was(probes: Probes, tree: Tree) -> None:
    mutant = next(each for each in mutants(tree) if each.operator == "object removed")
    (subject, *_) = probes.selected(mutant)
    before = probes.answers(subject)
    assert probes.changes(mutant)
    assert probes.answers(subject) == before
