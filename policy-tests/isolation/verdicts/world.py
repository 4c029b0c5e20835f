"""Verdicts: the rules in force, the two sides that they make of each endpoint, and flows between two.

Source: Cilium 1.20, pkg/policy/repository.go. What one side decides stands in sides.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from isolation.policies.identities import Identity
from isolation.policies.labels import NAMESPACE
from isolation.policies.parsing import EGRESS, INGRESS, Rule
from isolation.policies.ports import Port
from isolation.verdicts.merging import MergeError, may_conflict, merge
from isolation.verdicts.sides import Dns, NameFilter, Side, SideVerdict, selects

__all__ = ["Dns", "Enforcement", "FlowVerdict", "NameFilter", "PolicyWorld", "Side", "SideVerdict", "selects"]

_KINDS = {"CiliumClusterwideNetworkPolicy": "ccnp", "CiliumNetworkPolicy": "cnp", "NetworkPolicy": "netpol"}


class Enforcement(StrEnum):
    """Cilium's `enable-policy`."""

    DEFAULT = "default"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True)
class FlowVerdict:
    """Egress at the source and ingress at the destination; both must allow."""

    egress: SideVerdict
    ingress: SideVerdict

    @property
    def is_allowed(self) -> bool:
        return self.egress.is_allowed and self.ingress.is_allowed

    @property
    def error(self) -> str:
        return self.egress.error or self.ingress.error


_OPEN = Side((), is_enforced=False, denies_by_default=False, admits_node=False)


@dataclass(eq=False)
class PolicyWorld:
    """The rules in force and, per identity, the two sides they make.

    admits_node: `allow-localhost` as Kubernetes sets it. host_firewall: policies apply to the node itself too.
    """

    rules: Sequence[Rule]
    admits_node: bool = True
    enforcement: Enforcement = Enforcement.DEFAULT
    host_firewall: bool = False
    _sides: dict[tuple[Identity, str], Side] = field(default_factory=dict)

    def side(self, identity: Identity, direction: str) -> Side:
        found = self._sides.get((identity, direction))
        if found is None:
            egress, ingress = self._both_sides(identity)
            self._sides[identity, EGRESS], self._sides[identity, INGRESS] = egress, ingress
            found = egress if direction == EGRESS else ingress
        return found

    def flow(self, source: Identity, destination: Identity, port: Port) -> FlowVerdict:
        egress = self.side(source, EGRESS).verdict(destination, port)
        return FlowVerdict(egress, self.side(destination, INGRESS).verdict(source, port))

    def forget(self) -> None:
        """Drop the sides that were computed; they are computed again when asked for."""
        self._sides.clear()

    def _both_sides(self, identity: Identity) -> tuple[Side, Side]:
        if not self._is_judged(identity):
            return _OPEN, _OPEN
        selecting = [rule for rule in self._candidates(identity) if _applies(rule, identity)]
        egress = tuple(rule for rule in selecting if rule.direction == EGRESS)
        ingress = tuple(rule for rule in selecting if rule.direction == INGRESS)
        error = self._error(identity, ingress) or self._error(identity, egress)
        return self._side(identity, egress, EGRESS, error=error), self._side(identity, ingress, INGRESS, error=error)

    def _is_judged(self, identity: Identity) -> bool:
        if not identity.is_endpoint or self.enforcement == Enforcement.NEVER:
            return False
        return self.host_firewall or not identity.is_node

    def _side(self, identity: Identity, rules: tuple[Rule, ...], direction: str, *, error: str = "") -> Side:
        """Source: pkg/policy/repository.go (computePolicyEnforcementAndRules). The node's own allow is made beside
        rules only."""
        is_ingress = direction == INGRESS
        is_forced = self._is_forced(identity)
        return Side(
            rules,
            is_enforced=bool(rules) or is_forced,
            denies_by_default=is_forced or any(rule.default_deny for rule in rules),
            admits_node=self.admits_node and is_ingress and bool(rules) and not identity.is_node,
            own_ports=identity.named_ports if is_ingress else None,
            error=error,
        )

    def _is_forced(self, identity: Identity) -> bool:
        return self.enforcement == Enforcement.ALWAYS or identity.is_starting

    def _error(self, identity: Identity, rules: tuple[Rule, ...]) -> str:
        """Why these rules cannot be merged; a conflict on one port takes the endpoint's whole policy."""
        if not may_conflict(rules):
            return ""
        asked = self._is_forced(identity) or any(rule.default_deny for rule in rules)
        try:
            merge(rules, is_default_allow=not asked)
        except MergeError as error:
            return str(error)
        return ""

    @cached_property
    def _by_namespace(self) -> dict[str | None, list[tuple[int, Rule]]]:
        """Rules by the namespaces that their subject names; under None those that may apply anywhere. The numbers
        keep the order in which the engine takes them: by the objects' kind, namespace and name, then as written."""
        found: dict[str | None, list[tuple[int, Rule]]] = {}
        for position, rule in enumerate(sorted(self.rules, key=_resource)):
            pinned = rule.subject.namespaces
            for namespace in [None] if pinned is None else pinned:
                found.setdefault(namespace, []).append((position, rule))
        return found

    def _candidates(self, identity: Identity) -> Iterator[Rule]:
        namespace = identity.labels.value("k8s", NAMESPACE)
        found = self._by_namespace.get(None, [])
        if namespace is not None:
            found = sorted([*found, *self._by_namespace.get(namespace, ())], key=lambda pair: pair[0])
        return (rule for _, rule in found)


def _applies(rule: Rule, identity: Identity) -> bool:
    return rule.on_nodes == identity.is_node and rule.subject.matches(identity.labels)


def _resource(rule: Rule) -> str:
    document = rule.origin.document
    return f"{_KINDS.get(document.kind, document.kind)}/{document.namespace or ''}/{document.name}"
