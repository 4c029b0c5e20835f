"""What is done to a policy: each rule, selector, port, name and object is dropped, widened, emptied and retargeted.

Every mutant is valid YAML; whether Kubernetes or the agent would take it is no concern of the mutator's. Sources of the
shapes: Cilium 1.20's policy language; those that open more than they say come first.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from isolation.classes.pod_classes import tenants_of
from isolation.manifests.tree import Document, Tree
from isolation.policies.labels import ACCOUNT, NAMESPACE
from isolation.policies.parsing import CILIUM_KINDS

from mutation.local_operators import (
    default_deny,
    expression,
    is_selector,
    peer,
    plane,
    port,
    port_rule,
    ports,
    selector,
    spec,
)
from mutation.mutant import Mutant, Place

_SECTIONS = ("ingress", "egress", "ingressDeny", "egressDeny")
_PEER_LISTS = frozenset(
    f"{side}{kind}" for side in ("to", "from") for kind in ("Endpoints", "Entities", "CIDR", "CIDRSet", "FQDNs")
)
_NAME_LISTS = frozenset({"dns", "toFQDNs", "serverNames"})
_ENTITIES = ("world", "cluster", "all", "host", "remote-node", "kube-apiserver", "ingress")
_NAMESPACE_KEY, _ACCOUNT_KEY = f"k8s:{NAMESPACE}", f"k8s:{ACCOUNT}"
_HTTPS = [{"ports": [{"port": "443", "protocol": "TCP"}]}]
_DNS = [{"ports": [{"port": "53", "protocol": "UDP"}]}]
STRAY_ICMP = 13  # timestamp requests, which no rule of ours names
FORGED = "app"  # a label that any pod may carry
ROOT_NAMES = ("s3.amazonaws.com", "s3.eu-central-1.amazonaws.com")
_PATTERNS = ("*", "*.amazonaws.com", "*.storage.svc.cluster.local", "*.*.svc.cluster.local", "**.svc.cluster.local")


@dataclass(frozen=True)
class Operators:
    """The mutants of one object. other: a tenant whose things it takes up; foreign_names: names of that tenant."""

    other: str
    foreign_names: tuple[str, ...]

    def of(self, document: Document) -> Iterator[Mutant]:
        whole = Place(document, (), document.body)
        yield Mutant(document, "object removed", (), None)
        places = list(whole.walk())
        if document.kind == "Namespace":
            yield from plane(Place(document, ("metadata", "labels"), document.labels))
            return
        for place in places:
            if place.path == ("metadata", "namespace"):
                yield place.put("moved to another tenant", f"{self.other}-train")
            if place.path[:1] in {("spec",), ("specs",)} and len(place.path) > 1:
                yield from self._at(place)
            if place.path == ("spec",):
                yield from spec(place, is_cilium=document.kind in CILIUM_KINDS)

    def _at(self, place: Place) -> Iterator[Mutant]:
        for applies, operator in self._table:
            if applies(place):
                yield from operator(place)

    @cached_property
    def _table(self) -> tuple[tuple[Callable[[Place], bool], Callable[[Place], Iterator[Mutant]]], ...]:
        return (
            (lambda p: p.is_list and p.name in _SECTIONS, self._section),
            (lambda p: p.is_item and p.name in _SECTIONS, lambda p: iter([p.removed("rule removed")])),
            (lambda p: p.is_item and p.name in _SECTIONS, self._rule),
            (lambda p: p.is_list and p.name in _PEER_LISTS, self._peers),
            (lambda p: p.is_item and p.name in _PEER_LISTS, peer),
            (lambda p: p.is_list and p.name in _NAME_LISTS, self._names),
            (lambda p: p.is_item and p.name in _NAME_LISTS, self._name),
            (is_selector, selector),
            (lambda p: p.path[-2:-1] == ("matchLabels",), self._match_label),
            (lambda p: p.is_item and p.name == "matchExpressions", expression),
            (lambda p: p.is_item and p.name == "values", self._value),
            (lambda p: p.is_item and p.name == "toPorts", port_rule),
            (lambda p: p.is_list and p.name == "toPorts", lambda p: iter([p.removed("ports dropped")])),
            (lambda p: p.is_item and p.name == "ports", port),
            (lambda p: p.is_list and p.name == "ports", ports),
            (lambda p: p.is_item and p.name == "except", lambda p: iter([p.removed("exception removed")])),
            (lambda p: p.path[1:2] == ("enableDefaultDeny",), default_deny),
            (lambda p: p.is_item and p.name == "policyTypes", lambda p: iter([p.removed("policy type removed")])),
        )

    def _section(self, place: Place) -> Iterator[Mutant]:
        yield place.put("section emptied", [])
        yield place.removed("section removed")
        side = "to" if place.name.startswith("egress") else "from"
        if place.document.kind not in CILIUM_KINDS:
            yield place.put("allows everything", [{}])
            return
        yield place.added("+ empty rule", {})
        for entity in _ENTITIES:
            yield place.added(f"+ entity {entity}", {f"{side}Entities": [entity]})
        yield place.added("+ any peer on 443", {"toPorts": _HTTPS})
        yield place.added("+ any peer on 53", {"toPorts": _DNS})
        foreign = {f"{side}Endpoints": [_in_namespace(f"{self.other}-train")]}
        yield place.added("+ ICMP of another tenant", {**foreign, "icmps": [{"fields": [{"type": STRAY_ICMP}]}]})
        yield place.added("+ everywhere", {f"{side}CIDR": ["0.0.0.0/0"]})
        yield place.added("+ everywhere on 443", {f"{side}CIDR": ["0.0.0.0/0"], "toPorts": _HTTPS})
        yield place.added("+ own namespace", {f"{side}Endpoints": [{}]})
        yield place.added("+ another tenant", foreign)
        if side == "to":
            yield place.added("+ empty list of names on 443", {"toFQDNs": [], "toPorts": _HTTPS})

    def _rule(self, place: Place) -> Iterator[Mutant]:
        for kind in sorted(_PEER_LISTS & set(place.value)):
            rest = {key: value for key, value in place.value.items() if key != kind}
            yield place.put(f"{kind} dropped", rest)

    def _peers(self, place: Place) -> Iterator[Mutant]:
        yield place.put("peers emptied", [])
        yield place.put("peers null", None)
        if place.name.endswith("Endpoints"):
            yield place.added("+ own namespace as peer", {})
            yield place.added(
                "+ every namespace as peer", {"matchExpressions": [{"key": _NAMESPACE_KEY, "operator": "Exists"}]}
            )
            yield place.added(
                "+ reserved key as peer", {"matchExpressions": [{"key": "reserved:host", "operator": "DoesNotExist"}]}
            )
            yield place.added("+ another tenant as peer", _in_namespace(f"{self.other}-serve"))
            forged = {"matchLabels": {f"k8s:{FORGED}": "x", _NAMESPACE_KEY: f"{self.other}-train"}}
            yield place.added("+ forged label as peer", forged)
        elif place.name.endswith("Entities"):
            yield from (place.added(f"+ entity {name} as peer", name) for name in _ENTITIES if name not in place.value)
        elif place.name.endswith("CIDR"):
            yield place.added("+ everywhere as peer", "0.0.0.0/0")

    def _names(self, place: Place) -> Iterator[Mutant]:
        exact: Callable[[str], Any] = (lambda name: name) if place.name == "serverNames" else _exact
        pattern: Callable[[str], Any] = (lambda name: name) if place.name == "serverNames" else _pattern
        for name in (*self.foreign_names, *ROOT_NAMES):
            yield place.added(f"+ name {name}", exact(name))
        for text in _PATTERNS:
            yield place.added(f"+ pattern {text}", pattern(text))
        yield place.removed("names dropped")

    def _name(self, place: Place) -> Iterator[Mutant]:
        yield place.removed("name removed")
        if isinstance(place.value, str):
            yield place.put("name retargeted", self.foreign_names[0])
            yield place.put("name widened", f"*.{place.value.partition('.')[2]}")
            return
        text = next(iter(place.value.values()), "")
        yield place.put("name retargeted", _exact(self.foreign_names[0]))
        yield place.put("name widened", _pattern(f"*.{text.partition('.')[2]}"))
        yield place.put("name selector emptied", {})

    def _match_label(self, place: Place) -> Iterator[Mutant]:
        key = str(place.path[-1])
        yield place.removed("term dropped")
        yield from (place.put(f"retargeted to {value}", value) for value in self._others(key, place.value))
        holder = Place(place.document, place.path[:-1], _at(place.document, place.path[:-1]))
        bare = {key.removeprefix("k8s:") if each == key else each: value for each, value in holder.value.items()}
        yield holder.put(f"prefix of {key} dropped", bare)
        forged = {f"k8s:{FORGED}" if each == key else each: value for each, value in holder.value.items()}
        yield holder.put(f"{key} replaced by a label that anyone may take", forged)

    def _value(self, place: Place) -> Iterator[Mutant]:
        yield place.removed("value removed")
        key = str(_at(place.document, place.path[:-2]).get("key"))
        yield from (place.put(f"retargeted to {value}", value) for value in self._others(key, place.value))

    def _others(self, key: str, value: str) -> tuple[str, ...]:
        """Values that a term may be made to name instead."""
        if key.endswith(NAMESPACE):
            plane = value.rpartition("-")[2]
            return tuple(n for n in (f"{self.other}-{plane}", f"{self.other}-train", "kube-system") if n != value)
        if key.endswith(ACCOUNT):
            return tuple(n for n in ("default", f"s3-{self.other}", "trainer", "router") if n != value)
        return ("serve",) if value == "train" else ("train",)


def mutants(tree: Tree) -> Iterator[Mutant]:
    """Of each policy and Namespace of the tree, each mutant once."""
    tenants = tenants_of(tree)
    for document in policy_documents(tree):
        other = other_tenant(tenants, document)
        names = foreign_names(other)
        seen: list[Any] = [document.body]
        for mutant in Operators(other, names).of(document):
            if mutant.body not in seen:
                seen.append(mutant.body)
                yield mutant


def tenant_of(document: Document) -> str | None:
    """Whose folder it stands in; None for the platform's."""
    return document.place[1] if document.place[:1] == ("tenants",) else None


def other_tenant(tenants: Sequence[str], document: Document) -> str:
    """The one whose things a mutant of the object takes up."""
    return next(tenant for tenant in tenants if tenant != tenant_of(document))


def foreign_names(tenant: str) -> tuple[str, ...]:
    """Names that nobody but the tenant may ask."""
    return (f"tenon-{tenant}.storage.svc.cluster.local", f"any.{tenant}-train.svc.cluster.local")


def policy_documents(tree: Tree) -> list[Document]:
    """What is mutated: every policy, and Namespaces, whose labels policies select by."""
    return list(tree.of_kind(*CILIUM_KINDS, "NetworkPolicy", "Namespace"))


def _in_namespace(name: str) -> dict[str, Any]:
    return {"matchLabels": {_NAMESPACE_KEY: name}}


def _exact(name: str) -> dict[str, str]:
    return {"matchName": name}


def _pattern(text: str) -> dict[str, str]:
    return {"matchPattern": text}


def _at(document: Document, path: tuple[str | int, ...]) -> Any:
    value: Any = document.body
    for step in path:
        value = value[step]
    return value
