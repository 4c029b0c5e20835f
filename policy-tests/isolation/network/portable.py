"""Portable (8): nothing rests on what Cilium 1.18, 1.19 and 1.20 read differently.

Kinds and fields that only some of them know are refused when a policy is parsed (policies.py); here stand the shapes
that all accept and that mean different things. In one cluster the cluster's name in selectors, added since 1.19, makes
no difference: every pod carries it.
"""

from collections.abc import Iterator
from typing import Any

from isolation.classes.cluster import Cluster
from isolation.manifests.node import Node
from isolation.manifests.tree import Document
from isolation.policies.entities import Entity
from isolation.policies.names import NamePattern
from isolation.policies.parsing import CILIUM_KINDS, Rule
from isolation.results import CounterExample, Result, origins

_LATER_ENTITIES = frozenset({"cluster-mesh"})


def portable(cluster: Cluster) -> Result:
    """Name patterns, ranges, ports and entities that every version reads alike."""
    documents = list(cluster.tree.of_kind(*CILIUM_KINDS))
    broken = [fault for document in documents for fault in _written(document)]
    broken += [fault for rule in cluster.rules for fault in _meant(rule)]
    narrower = {
        f"{rule.origin}: server names with `*` are read as exact names before 1.18, which refuses more"
        for rule in cluster.rules
        if any(entry.is_pattern for entry in rule.server_names or ())
    }
    claim = "no policy means something else to Cilium 1.18, 1.19 or 1.20"
    return Result(
        "portable", claim, len(documents), tuple(dict.fromkeys(broken)), evidence=tuple(sorted(narrower)), number=8
    )


def _meant(rule: Rule) -> Iterator[CounterExample]:
    def fault(what: str) -> CounterExample:
        return CounterExample(rule.origin.document.file, what, origins([rule]))

    for entry in (*(rule.dns or ()), *(rule.server_names or ()), *_fqdns(rule)):
        if "**" in entry.text:
            yield fault(f"name {entry} has `**`: whole labels since 1.19, one part of a label before")
    for peer in rule.peers or ():
        if isinstance(peer, Entity) and peer.name in _LATER_ENTITIES:
            yield fault(f"entity {peer.name} is unknown before 1.20, which loses the whole object")
    for span in rule.ports or ():
        if span.name:
            yield fault(f"port {span.name} is a name: egress to it was decided otherwise before 1.20; write its number")


def _fqdns(rule: Rule) -> Iterator[NamePattern]:
    for peer in rule.peers or ():
        if (pattern := getattr(peer, "pattern", None)) is not None:
            yield pattern


def _written(document: Document) -> Iterator[CounterExample]:
    for path, value in _walk((), document.body):
        place = Node(document, path, value)
        where = (f"{document.file}:{document.line(path)}",)
        if path and path[-1] == "authentication":
            what = f"{place.shown}: enforced up to 1.18, a plain allow since"
            yield CounterExample(document.file, what, where)
        elif len(path) > 1 and path[-2] in {"toCIDR", "fromCIDR"} and isinstance(value, str) and "/" not in value:
            what = f"{place.shown}: {value!r} without a prefix length is taken by some versions and refused by others"
            yield CounterExample(document.file, what, where)


def _walk(path: tuple[str | int, ...], value: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in items:
        yield from _walk((*path, step), child)
