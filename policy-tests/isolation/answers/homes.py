"""The file in which a reader begins when what was found names none: the object that makes the pod, the namespace or
the tenant that it is about. Code scanning shows a finding at a file or not at all.
"""

from collections.abc import Iterable, Iterator

from isolation.classes.profile import NAME, NAMESPACE
from isolation.manifests.tree import Tree
from isolation.results import CounterExample, Result

_PLANES = ("train", "serve")


def homes(tree: Tree, results: Iterable[Result]) -> dict[str, str]:
    """Of everyone in the counter-examples, and of `` for an invariant that had nothing to ask: the file."""
    whos = {example.who for result in results for example in result.broken or (CounterExample("", ""),)}
    if not whos:
        return {}
    known = _files(tree)
    profile = tree.one("ConfigMap", NAMESPACE, NAME).file
    return {who: next((known[word] for word in _words(who) if word in known), profile) for who in whos}


def _words(who: str) -> Iterator[str]:
    """`namespace/account`, else its namespace; a tenant by its namespaces; an object of the cluster by its name."""
    word = who.partition(" ")[0]
    namespace = word.partition("/")[0]
    yield from (word, namespace, *(f"{namespace}-{plane}" for plane in _PLANES))


def _files(tree: Tree) -> dict[str, str]:
    """By `namespace/account` and by the names of objects of the cluster, namespaces before all others."""
    found = {each.name: each.file for each in tree.documents if each.namespace is None}
    found |= {each.name: each.file for each in tree.of_kind("Namespace")}
    return found | {f"{each.namespace}/{each.name}": each.file for each in tree.of_kind("ServiceAccount")}
