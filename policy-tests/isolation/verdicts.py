"""Verdicts: the order of evaluation is the order of the code.

Source: Cilium 1.20, pkg/policy/mapstate.go, repository.go, pkg/fqdn/dnsproxy. Every verdict carries its certificate:
the rules that decided it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from isolation.identities import Identity
from isolation.labels import NAMESPACE
from isolation.policies import EGRESS, INGRESS, Rule
from isolation.ports import Port
from isolation.refusals import Refused


class Dns(StrEnum):
    """What becomes of a query."""

    DROPPED = "dropped"  # the packet does not reach the server
    UNFILTERED = "unfiltered"  # no name filter is on this path
    ANSWERED = "answered"
    REFUSED = "refused"


@dataclass(frozen=True)
class SideVerdict:
    """One endpoint's answer in one direction. `by`: the rules that decided; none on default deny or default allow."""

    is_allowed: bool
    is_enforced: bool
    by: tuple[Rule, ...] = ()

    @property
    def l7(self) -> tuple[str, ...]:
        """Parsers a proxy would apply, sorted."""
        return tuple(sorted({kind for rule in self.by if not rule.is_deny for kind in rule.redirects}))


@dataclass(frozen=True)
class Side:
    """The rules of one endpoint in one direction."""

    rules: tuple[Rule, ...]
    is_enforced: bool
    denies_by_default: bool
    admits_node: bool  # the node reaches its local pods (probes) unless a rule denies it

    def selecting(self, peer: Identity) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if selects(rule, peer))

    def verdict(self, peer: Identity, port: Port) -> SideVerdict:
        return self.decide(self.selecting(peer), peer, port)

    def decide(self, selecting: Iterable[Rule], peer: Identity, port: Port) -> SideVerdict:
        """Deny beats proxy beats allow, whatever the width of the port; a direction that no rule enforces is open."""
        matching = [rule for rule in selecting if rule.covers(port)]
        if denies := [rule for rule in matching if rule.is_deny]:
            return SideVerdict(is_allowed=False, is_enforced=True, by=tuple(denies))
        if redirects := [rule for rule in matching if rule.redirects]:
            return SideVerdict(is_allowed=True, is_enforced=True, by=_mergeable(redirects))
        if matching:
            return SideVerdict(is_allowed=True, is_enforced=True, by=tuple(matching))
        is_open = not self.denies_by_default or (self.admits_node and peer.is_node)
        return SideVerdict(is_allowed=is_open, is_enforced=self.is_enforced)

    def is_shut(self, selecting: Iterable[Rule], peer: Identity) -> bool:
        """Whether `decide` says no on every port, because nothing allows anything."""
        is_open = not self.denies_by_default or (self.admits_node and peer.is_node)
        return not is_open and all(rule.is_deny for rule in selecting)

    def name_filter(self, server: Identity, port: Port) -> "NameFilter":
        """What stands between the endpoint and this server. All allows of exactly this port that select the server
        are one filter; ranges and rules without ports are no part of it."""
        reached = self.verdict(server, port)
        if not reached.is_allowed:
            return NameFilter(Dns.DROPPED, reached.by)
        if "dns" not in reached.l7:
            return NameFilter(Dns.UNFILTERED, reached.by)
        same = (rule for rule in self.selecting(server) if not rule.is_deny and _is_exactly(rule, port))
        return NameFilter(None, tuple(same))


@dataclass(frozen=True)
class NameFilter:
    """The DNS proxy's rules on one path; `outcome` when it does not depend on the name."""

    outcome: Dns | None
    rules: tuple[Rule, ...]

    def query(self, name: str) -> Dns:
        """A name passes if one of the rules lists it or lists nothing."""
        if self.outcome is not None:
            return self.outcome
        return Dns.ANSWERED if self.passing(name) else Dns.REFUSED

    def passing(self, name: str) -> tuple[Rule, ...]:
        """The rules that let the name pass."""
        return tuple(r for r in self.rules if r.dns is None or any(entry.matches(name) for entry in r.dns))


@dataclass(frozen=True)
class FlowVerdict:
    """Egress at the source and ingress at the destination; both must allow."""

    egress: SideVerdict
    ingress: SideVerdict

    @property
    def is_allowed(self) -> bool:
        return self.egress.is_allowed and self.ingress.is_allowed


_OPEN = Side((), is_enforced=False, denies_by_default=False, admits_node=False)


@dataclass(eq=False)
class PolicyWorld:
    """The rules in force and, per identity, the two sides they make."""

    rules: Sequence[Rule]
    admits_node: bool = True
    _sides: dict[tuple[Identity, str], Side] = field(default_factory=dict)

    def side(self, identity: Identity, direction: str) -> Side:
        key = (identity, direction)
        if key not in self._sides:
            self._sides[key] = self._compute(identity, direction)
        return self._sides[key]

    def flow(self, source: Identity, destination: Identity, port: Port) -> FlowVerdict:
        egress = self.side(source, EGRESS).verdict(destination, port)
        return FlowVerdict(egress, self.side(destination, INGRESS).verdict(source, port))

    @cached_property
    def _by_namespace(self) -> dict[str | None, list[Rule]]:
        """Rules by the namespaces that their subject names; under None those that may apply anywhere."""
        found: dict[str | None, list[Rule]] = {}
        for rule in self.rules:
            pinned = rule.subject.namespaces
            for namespace in [None] if pinned is None else pinned:
                found.setdefault(namespace, []).append(rule)
        return found

    def _compute(self, identity: Identity, direction: str) -> Side:
        if not identity.is_endpoint:
            return _OPEN
        namespace = identity.labels.value("k8s", NAMESPACE)
        candidates = [*self._by_namespace.get(None, ()), *self._by_namespace.get(namespace or "", ())]
        rules = tuple(r for r in candidates if r.direction == direction and r.subject.matches(identity.labels))
        asked = any(rule.default_deny for rule in rules)
        return Side(
            rules,
            is_enforced=bool(rules) or identity.is_starting,
            denies_by_default=asked or identity.is_starting,
            admits_node=self.admits_node and direction == INGRESS,
        )


def selects(rule: Rule, peer: Identity) -> bool:
    return rule.peers is None or any(term.selects(peer) for term in rule.peers)


def _is_exactly(rule: Rule, port: Port) -> bool:
    return rule.ports is not None and any(span.is_exactly(port) for span in rule.ports)


def _mergeable(redirects: Iterable[Rule]) -> tuple[Rule, ...]:
    """Server names and HTTP on one port merge or fail by the order of the objects' names; refused, not guessed."""
    rules = tuple(redirects)
    kinds = {kind for rule in rules for kind in rule.redirects}
    if {"http", "tls"} <= kinds:
        first = rules[0].origin
        where = f"{first.document.file}:{first.document.line(first.path)}"
        why = "serverNames and http rules meet on one port; what holds depends on the names of the objects"
        raise Refused(where=where, at=first.document.name, why=why)
    return rules
