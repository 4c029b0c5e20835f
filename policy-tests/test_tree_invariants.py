"""Each invariant of the tree holds, and each is broken by a tree with one object changed."""

import pytest
from isolation.manifests.tree import Tree
from isolation.objects.groups import GROUPS
from isolation.results import Result
from mutants.mutant import Mutant, inventory_of
from mutants.of_options import OF_AWS, OF_MESH
from mutants.of_tenants import OF_TENANTS
from mutants.of_workloads import OF_WORKLOADS

ASKED = [ask for group in GROUPS.values() for ask in group]
MUTANTS = (*OF_TENANTS, *OF_WORKLOADS)
OF_OPTIONS = (*OF_AWS, *OF_MESH)
MADE_ELSEWHERE = {"schedules"}  # the sample tree has none: test_tree_invariants_of_options.py


def broken(tree: Tree) -> dict[str, Result]:
    """The invariants of the tree that do not hold."""
    inventory = inventory_of(tree)
    return {result.name: result for ask in ASKED if not (result := ask(inventory)).holds}


@pytest.mark.parametrize(
    "mutant",
    [pytest.param(each, id=str(each), marks=pytest.mark.requirement(each.row or "B40")) for each in MUTANTS],
)
def test_a_change_breaks_the_invariant_that_is_made_for_it_and_no_other(mutant: Mutant, pair: Tree) -> None:
    found = broken(mutant.tree(pair))
    assert mutant.invariant in found
    assert found[mutant.invariant].row == mutant.row
    assert set(found) <= {mutant.invariant, *mutant.others}


@pytest.mark.parametrize("inputs", ["tree", "aws", "mesh"])
def test_every_invariant_of_the_tree_holds(inputs: str, request: pytest.FixtureRequest) -> None:
    judged: Tree = request.getfixturevalue(inputs)
    assert {name: result.broken[:3] for name, result in broken(judged).items()} == {}


@pytest.mark.parametrize("mutant", OF_OPTIONS, ids=str)
def test_what_only_an_option_renders_is_judged_too(mutant: Mutant, request: pytest.FixtureRequest) -> None:
    judged: Tree = request.getfixturevalue("aws" if mutant in OF_AWS else "mesh")
    found = broken(mutant.tree(judged))
    assert mutant.invariant in found
    assert set(found) <= {mutant.invariant, *mutant.others}


def test_every_invariant_of_the_tree_has_a_mutant_that_breaks_it() -> None:
    tried = {each.invariant for each in MUTANTS} | MADE_ELSEWHERE
    assert tried == {ask.__name__.replace("_", "-") for ask in ASKED}
