"""Verdicts: the order of evaluation is the order of the code.

Source: Cilium 1.20, pkg/policy/mapstate.go, repository.go, pkg/fqdn/dnsproxy. Every verdict carries its certificate:
the rules that decided it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from isolation.entities import Endpoints, Peer
from isolation.identities import Identity
from isolation.labels import NAMESPACE
from isolation.merging import DNS, PRECEDENCE, Merge, MergeError, may_conflict, merge, parser_of
from isolation.node import dotted
from isolation.policies import EGRESS, INGRESS, Rule
from isolation.ports import NamedPorts, Port
from isolation.refusals import Refused

_FEW = 8  # rules of one side that are looked through faster than an index is asked
_KINDS = {"CiliumClusterwideNetworkPolicy": "ccnp", "CiliumNetworkPolicy": "cnp", "NetworkPolicy": "netpol"}


class Dns(StrEnum):
    """What becomes of a query."""

    DROPPED = "dropped"  # the packet does not reach the server
    UNFILTERED = "unfiltered"  # no name filter is on this path
    ANSWERED = "answered"
    REFUSED = "refused"


class Enforcement(StrEnum):
    """Cilium's `enable-policy`."""

    DEFAULT = "default"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True)
class SideVerdict:
    """One endpoint's answer in one direction. `by`: the rules that decided; none on default deny or default allow.

    l7: the parser of the proxy that the traffic is sent to. error: why no policy can be computed; then nothing is
    allowed.
    """

    is_allowed: bool
    is_enforced: bool
    by: tuple[Rule, ...] = ()
    l7: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Side:
    """The rules of one endpoint in one direction.

    own_ports: on ingress the endpoint's named ports; on egress None, the peer's count. error: of the endpoint.
    """

    rules: tuple[Rule, ...]
    is_enforced: bool
    denies_by_default: bool
    admits_node: bool  # the node reaches its local pods (probes) unless a rule denies it
    own_ports: NamedPorts | None = None
    error: str = ""

    def selecting(self, peer: Identity) -> tuple[Rule, ...]:
        rules = self.rules if len(self.rules) <= _FEW else self._candidates(peer)
        return tuple(rule for rule in rules if selects(rule, peer))

    def verdict(self, peer: Identity, port: Port) -> SideVerdict:
        return self.decide(self.selecting(peer), peer, port)

    def decide(self, selecting: Iterable[Rule], peer: Identity, port: Port) -> SideVerdict:
        """Deny beats proxy beats allow, whatever the width of the port; a direction that no rule enforces is open."""
        if self.error:
            return SideVerdict(is_allowed=False, is_enforced=True, error=self.error)
        named = self.named_ports(peer)
        matching = [rule for rule in selecting if rule.covers(port, named)]
        if named and self.own_ports is None:  # by name, a port is known of identities that a rule selects themselves
            matching = [rule for rule in matching if rule.covers(port) or _selects_itself(rule, peer)]
        if denies := [rule for rule in matching if rule.is_deny]:
            return SideVerdict(is_allowed=False, is_enforced=True, by=tuple(denies))
        if redirects := [rule for rule in matching if parser_of(rule)]:
            return self._proxied(redirects, peer, port)
        if matching:
            return SideVerdict(is_allowed=True, is_enforced=True, by=tuple(matching))
        return SideVerdict(is_allowed=self._is_open(peer), is_enforced=self.is_enforced)

    def is_shut(self, selecting: Iterable[Rule], peer: Identity) -> bool:
        """Whether `decide` says no on every port, because nothing allows anything."""
        return bool(self.error) or (not self._is_open(peer) and all(rule.is_deny for rule in selecting))

    def name_filter(self, server: Identity, port: Port) -> "NameFilter":
        """What stands between the endpoint and this server. All allows of the same port as written that select the
        server are one filter; ranges and rules without ports are no part of it. Raises Refused where DNS rules for one
        port are written in two ways (a name and a number): the last that the agent happens to take replaces the other.
        """
        reached = self.verdict(server, port)
        if not reached.is_allowed:
            return NameFilter(Dns.DROPPED, reached.by)
        if DNS not in reached.l7:
            return NameFilter(Dns.UNFILTERED, reached.by)
        named = self.named_ports(server)
        written = {way: rule for rule in reached.by for way in _exact_spellings(rule, port, named)}
        if len(written) > 1:
            raise _in_two_ways(next(iter(written.values())), port)
        allows = (rule for rule in self.selecting(server) if not rule.is_deny and _selects_itself(rule, server))
        same = (rule for rule in allows if written.keys() & _exact_spellings(rule, port, named))
        return NameFilter(None, tuple(same), passes_all=not self.denies_by_default)

    def named_ports(self, peer: Identity) -> NamedPorts:
        """Those of the endpoint at the end of the flow."""
        return peer.named_ports if self.own_ports is None else self.own_ports

    @cached_property
    def merged(self) -> Merge:
        """The rules by port as written and selector. Raises MergeError."""
        return merge(self.rules, is_default_allow=not self.denies_by_default)

    def _is_open(self, peer: Identity) -> bool:
        return not self.denies_by_default or (self.admits_node and peer.is_node)

    def _proxied(self, redirects: Sequence[Rule], peer: Identity, port: Port) -> SideVerdict:
        """Redirects of several kinds: HTTP beats TLS beats DNS; server names merged with HTTP rules are HTTP."""
        kinds = {rule: parser_of(rule) for rule in redirects}
        if self._is_mixed:
            for lane in self.merged.of(peer, port, self.named_ports(peer)):
                kinds |= dict.fromkeys(kinds.keys() & set(lane.rules), lane.parser)
        winner = next(kind for kind in PRECEDENCE if kind in kinds.values())
        by = tuple(rule for rule in redirects if kinds[rule] == winner)
        return SideVerdict(is_allowed=True, is_enforced=True, by=by, l7=(winner,))

    @cached_property
    def _is_mixed(self) -> bool:
        return may_conflict(self.rules)

    def _candidates(self, peer: Identity) -> Iterator[Rule]:
        """Rules that may select the peer, in order."""
        namespace = peer.labels.value("k8s", NAMESPACE)
        found = self._by_namespace.get(None, [])
        if namespace is not None:
            found = sorted({*found, *self._by_namespace.get(namespace, ())})
        return (self.rules[position] for position in found)

    @cached_property
    def _by_namespace(self) -> dict[str | None, list[int]]:
        """Positions of rules by the namespaces that their peers name; under None those that may select others."""
        found: dict[str | None, list[int]] = {}
        for position, rule in enumerate(self.rules):
            for namespace in _peer_namespaces(rule):
                found.setdefault(namespace, []).append(position)
        return found


@dataclass(frozen=True)
class NameFilter:
    """The DNS proxy's rules on one path; `outcome` when it does not depend on the name.

    passes_all: the endpoint is under no default deny, so that every list was given an entry for all names.
    """

    outcome: Dns | None
    rules: tuple[Rule, ...]
    passes_all: bool = False

    def query(self, name: str) -> Dns:
        """A name passes if one of the rules lists it or lists nothing."""
        if self.outcome is not None:
            return self.outcome
        return Dns.ANSWERED if self.passing(name) else Dns.REFUSED

    def passing(self, name: str) -> tuple[Rule, ...]:
        """The rules that let the name pass."""
        if self.passes_all:
            return self.rules
        return tuple(r for r in self.rules if r.dns is None or any(entry.matches(name) for entry in r.dns))


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


def selects(rule: Rule, peer: Identity) -> bool:
    return rule.peers is None or any(term.selects(peer) for term in rule.peers)


def _selects_itself(rule: Rule, peer: Identity) -> bool:
    """Whether the rule selects the peer's own identity and not only the group's: the DNS proxy and named ports look at
    no group."""
    terms: Iterable[Peer] = rule.peers or ()
    own = (term.selector.matches(peer.labels) if isinstance(term, Endpoints) else term.selects(peer) for term in terms)
    return rule.peers is None or any(own)


def _applies(rule: Rule, identity: Identity) -> bool:
    return rule.on_nodes == identity.is_node and rule.subject.matches(identity.labels)


def _exact_spellings(rule: Rule, port: Port, named: NamedPorts) -> set[tuple[str, int]]:
    """The ways in which the rule writes exactly this port: each is a filter of its own (name, endPort)."""
    spans = rule.ports or ()
    return {(span.name, span.end_port) for span in spans if span.first == span.last and span.covers(port, named)}


def _in_two_ways(rule: Rule, port: Port) -> Refused:
    document, path = rule.origin.document, rule.origin.path
    why = f"DNS rules for {port} are written in two ways, of which one replaces the other; write the number in both"
    return Refused(where=f"{document.file}:{document.line(path)}", at=dotted(path), why=why)


def _peer_namespaces(rule: Rule) -> set[str | None]:
    """The namespaces outside of which the rule selects nobody; None among them when it may."""
    found: set[str | None] = set()
    for peer in rule.peers if rule.peers is not None else (None,):
        pinned = peer.selector.namespaces if isinstance(peer, Endpoints) else None
        found |= {None} if pinned is None else pinned
    return {None} if None in found else found


def _resource(rule: Rule) -> str:
    document = rule.origin.document
    return f"{_KINDS.get(document.kind, document.kind)}/{document.namespace or ''}/{document.name}"
