"""The most ordinary damage of all, through the whole proof: counter-examples, and never a fault of our own."""

from collections.abc import Callable

import pytest
from isolation.manifests.tree import Document, Tree
from isolation.proof import prove_tree
from mutants.mutant import at

Damage = Callable[[Tree, Document], Tree]


def narrowed(tree: Tree, document: Document) -> Tree:
    return tree.changed(document, at("spec/podSelector", {"matchLabels": {"a": "b"}}))


def one_way(tree: Tree, document: Document) -> Tree:
    return tree.changed(document, at("spec/policyTypes", ["Ingress"]))


@pytest.mark.parametrize(
    ("namespace", "damage"),
    [("acme-train", Tree.without), ("acme-serve", narrowed), ("globex-train", one_way)],
)
def test_a_namespace_without_default_deny_is_told_by_counter_examples(
    namespace: str, damage: Damage, pair: Tree
) -> None:
    broken = {
        result.name for result in prove_tree(damage(pair, pair.one("NetworkPolicy", namespace, "default-deny"))).broken
    }
    assert broken >= {"default-deny", "apart", "addresses", "closed"}
