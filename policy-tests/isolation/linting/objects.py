"""Policies as they are written: sections, entries and port rules, each with its path.

A linter looks at what stands in a file, also where it has not the shape that Cilium reads, so nothing here raises.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from isolation.linting.plain import listed, mapped
from isolation.linting.selectors import Selector
from isolation.manifests.reading import DocumentPath
from isolation.manifests.tree import Document

CLUSTERWIDE, NAMESPACED, NATIVE = "CiliumClusterwideNetworkPolicy", "CiliumNetworkPolicy", "NetworkPolicy"
CILIUM_KINDS = frozenset({CLUSTERWIDE, NAMESPACED})
POLICY_KINDS = frozenset({*CILIUM_KINDS, NATIVE})
SECTIONS = ("ingress", "ingressDeny", "egress", "egressDeny")
L3_KINDS = ("Endpoints", "Entities", "CIDR", "CIDRSet", "FQDNs", "Nodes", "Services", "Groups")
LAST_PORT = 65535


@dataclass(frozen=True, eq=False)
class Policy:
    """One policy object. prefix: the object's path inside its file, for the items of a List."""

    document: Document
    prefix: DocumentPath = ()

    @property
    def kind(self) -> str:
        return self.document.kind

    @property
    def reference(self) -> str:
        """`CiliumNetworkPolicy team-a/dns`."""
        namespace = self.document.namespace
        return f"{self.kind} {'' if namespace is None else namespace + '/'}{self.document.name}"

    @cached_property
    def specs(self) -> tuple["Spec", ...]:
        body = self.document.body
        found = [Spec(self, ("spec",), body["spec"])] if isinstance(body.get("spec"), dict) else []
        for index, spec in enumerate(listed(body.get("specs"))):
            if isinstance(spec, dict):
                found.append(Spec(self, ("specs", index), spec))
        return tuple(found)

    @cached_property
    def entries(self) -> tuple["Entry", ...]:
        """Of Cilium's kinds; a NetworkPolicy has none, its sections are read otherwise."""
        if self.kind not in CILIUM_KINDS:
            return ()
        return tuple(entry for spec in self.specs for entry in spec.entries)


@dataclass(frozen=True, eq=False)
class Spec:
    """`spec`, or one item of `specs`."""

    policy: Policy
    path: DocumentPath
    body: Mapping[str, Any]

    @cached_property
    def entries(self) -> tuple["Entry", ...]:
        return tuple(
            Entry(self, section, (*self.path, section, index), mapped(item))
            for section in SECTIONS
            for index, item in enumerate(listed(self.body.get(section)))
        )

    def wants_default_deny(self, direction: str) -> bool:
        """Only an explicit false takes it away."""
        return mapped(self.body.get("enableDefaultDeny")).get(direction) is not False

    @property
    def subject(self) -> "Selector":
        key = "nodeSelector" if "nodeSelector" in self.body else "endpointSelector"
        return Selector((*self.path, key), self.body.get(key))


@dataclass(frozen=True, eq=False)
class Entry:
    """One item of a section."""

    spec: Spec
    section: str
    path: DocumentPath
    body: Mapping[str, Any]

    @property
    def policy(self) -> Policy:
        return self.spec.policy

    @property
    def direction(self) -> str:
        return self.section.removesuffix("Deny")

    @property
    def is_deny(self) -> bool:
        return self.section.endswith("Deny")

    @property
    def is_egress(self) -> bool:
        return self.direction == "egress"

    @property
    def opens_egress(self) -> bool:
        return self.section == "egress"

    @property
    def side(self) -> str:
        return "to" if self.is_egress else "from"

    @cached_property
    def peers(self) -> dict[str, Any]:
        """The L3 fields that are there, by kind (`Endpoints`), null included."""
        return {kind: self.body[self.side + kind] for kind in L3_KINDS if self.side + kind in self.body}

    def place(self, kind: str) -> DocumentPath:
        return (*self.path, self.side + kind)

    def items(self, kind: str) -> Iterator[tuple[DocumentPath, Any]]:
        """The items of one L3 list."""
        for index, item in enumerate(listed(self.peers.get(kind))):
            yield (*self.place(kind), index), item

    @property
    def selectors(self) -> list["Selector"]:
        return [Selector(path, item) for path, item in self.items("Endpoints")]

    @property
    def entities(self) -> list[tuple[DocumentPath, str]]:
        return [(path, str(item).lower()) for path, item in self.items("Entities")]

    @property
    def ranges(self) -> list[tuple[DocumentPath, str]]:
        """Text of every item of the CIDR lists."""
        found = [(path, str(item)) for path, item in self.items("CIDR")]
        found += [
            ((*path, "cidr"), str(mapped(item)["cidr"]))
            for path, item in self.items("CIDRSet")
            if "cidr" in mapped(item)
        ]
        return found

    @property
    def has_ports(self) -> bool:
        return bool(self.body.get("toPorts") or self.body.get("icmps"))

    @property
    def names_nobody(self) -> bool:
        """No L3 field at all is written."""
        return not self.peers

    @cached_property
    def port_rules(self) -> tuple["PortRule", ...]:
        return tuple(
            PortRule(self, (*self.path, "toPorts", index), mapped(item))
            for index, item in enumerate(listed(self.body.get("toPorts")))
        )

    def covers(self, number: int, protocol: str = "TCP") -> bool:
        """Whether the entry reaches the port: every port, where it names none."""
        if not self.has_ports:
            return True
        return any(rule.covers(number, protocol) for rule in self.port_rules)


@dataclass(frozen=True, eq=False)
class PortRule:
    """One item of `toPorts`."""

    entry: Entry
    path: DocumentPath
    body: Mapping[str, Any]

    @cached_property
    def ports(self) -> tuple["WrittenPort", ...]:
        return tuple(
            WrittenPort((*self.path, "ports", index), mapped(item))
            for index, item in enumerate(listed(self.body.get("ports")))
        )

    def l7(self, kind: str) -> list[tuple[DocumentPath, Mapping[str, Any]]]:
        """Items of `rules.dns` or `rules.http`."""
        items = listed(mapped(self.body.get("rules")).get(kind))
        return [((*self.path, "rules", kind, index), mapped(item)) for index, item in enumerate(items)]

    @property
    def server_names(self) -> list[tuple[DocumentPath, str]]:
        items = listed(self.body.get("serverNames"))
        return [((*self.path, "serverNames", index), str(item)) for index, item in enumerate(items)]

    @property
    def has_l7(self) -> bool:
        return bool(self.l7("dns") or self.l7("http"))

    def covers(self, number: int, protocol: str = "TCP") -> bool:
        return any(port.covers(number, protocol) for port in self.ports)


@dataclass(frozen=True, eq=False)
class WrittenPort:
    """One item of `ports`."""

    path: DocumentPath
    body: Mapping[str, Any]

    @property
    def text(self) -> str:
        return str(self.body.get("port", ""))

    @property
    def number(self) -> int | None:
        """None for a name, or where no port is written."""
        return int(self.text) if re.fullmatch(r"[0-9]{1,9}", self.text) else None

    @property
    def end(self) -> int:
        """endPort, 0 where none is written."""
        end = self.body.get("endPort", 0)
        return end if isinstance(end, int) else 0

    @property
    def protocol(self) -> str:
        return str(self.body.get("protocol") or "ANY").upper()

    def covers(self, number: int, protocol: str) -> bool:
        if self.protocol not in {protocol, "ANY"}:
            return False
        first = self.number
        if first is None:
            return not self.text
        return first == 0 or first <= number <= max(first, self.end)
