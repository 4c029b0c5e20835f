"""One endpoint's rules in one direction, and what they decide: the order of evaluation is the order of the code.

Source: Cilium 1.20, pkg/policy/mapstate.go, pkg/fqdn/dnsproxy. Every verdict carries its certificate: the rules that
decided it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from isolation.manifests.node import dotted
from isolation.manifests.refusals import Refused
from isolation.policies.entities import Endpoints, Peer
from isolation.policies.identities import Identity
from isolation.policies.labels import NAMESPACE
from isolation.policies.ports import NamedPorts, Port
from isolation.policies.rules import Rule
from isolation.verdicts.merging import DNS, PRECEDENCE, Merge, may_conflict, merge, parser_of

_FEW = 8  # rules of one side that are looked through faster than an index is asked


class Dns(StrEnum):
    """What becomes of a query."""

    DROPPED = "dropped"  # the packet does not reach the server
    UNFILTERED = "unfiltered"  # no name filter is on this path
    ANSWERED = "answered"
    REFUSED = "refused"


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

    def open_ports(self, peer: Identity, ports: tuple[Port, ...]) -> tuple[Port, ...]:
        """Of these ports, those to which `decide` says yes.

        It looks at the rules that select a peer, at whether it is the node, and on egress at ports that it names: peers
        without such, and alike in the rest, are decided about once.
        """
        selecting = self.selecting(peer)
        if self.is_shut(selecting, peer):
            return ()
        if self.own_ports is None and peer.named_ports:
            return self._open_ports(selecting, peer, ports)
        key = selecting, peer.is_node
        asked, found = self._decided.get(key, (None, ()))
        if asked is not ports:
            found = self._open_ports(selecting, peer, ports)
            self._decided[key] = ports, found
        return found

    def _open_ports(self, selecting: tuple[Rule, ...], peer: Identity, ports: tuple[Port, ...]) -> tuple[Port, ...]:
        return tuple(port for port in ports if self.decide(selecting, peer, port).is_allowed)

    @cached_property
    def _decided(self) -> dict[tuple[tuple[Rule, ...], bool], tuple[tuple[Port, ...], tuple[Port, ...]]]:
        """Rules that select, and whether they select the node: the ports asked about, and those of them open."""
        return {}

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


def selects(rule: Rule, peer: Identity) -> bool:
    return rule.peers is None or any(term.selects(peer) for term in rule.peers)


def _selects_itself(rule: Rule, peer: Identity) -> bool:
    """Whether the rule selects the peer's own identity and not only the group's: the DNS proxy and named ports look at
    no group."""
    terms: Iterable[Peer] = rule.peers or ()
    own = (term.selector.matches(peer.labels) if isinstance(term, Endpoints) else term.selects(peer) for term in terms)
    return rule.peers is None or any(own)


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
