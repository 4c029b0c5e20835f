"""The file in which a reader begins when what was found names none: the object that makes the pod, the namespace or
the tenant that it is about. Code scanning shows a finding at a file or not at all.
"""

from collections.abc import Iterable, Iterator

from isolation.classes.profile import NAME, NAMESPACE
from isolation.manifests.tree import Document, Tree
from isolation.results import CounterExample, Result

_PLANES = ("train", "serve")


def homes(tree: Tree, results: Iterable[Result]) -> dict[str, str]:
    """Of everyone in the counter-examples, and of `` for an invariant that had nothing to ask: the file."""
    found: dict[str, str] = {}
    for result in results:
        for who in (example.who for example in result.broken or (CounterExample("", ""),)):
            if who not in found:
                found[who] = home(tree, who).file
    return found


def home(tree: Tree, who: str) -> Document:
    """Of `namespace/account`, a namespace, a tenant, or an object of the cluster by its name; else the profile."""
    return next(_candidates(tree, who.partition(" ")[0]))


def _candidates(tree: Tree, word: str) -> Iterator[Document]:
    namespace, _, account = word.partition("/")
    named = {namespace, *(f"{namespace}-{plane}" for plane in _PLANES)}
    accounts = tree.of_kind("ServiceAccount")
    yield from (each for each in accounts if (each.namespace, each.name) == (namespace, account))
    yield from (each for each in tree.of_kind("Namespace") if each.name in named)
    yield from (each for each in tree.documents if each.namespace is None and each.name == word)
    yield tree.one("ConfigMap", NAMESPACE, NAME)
