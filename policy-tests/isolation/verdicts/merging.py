"""How the rules of one endpoint and direction merge: per port and protocol as written, and per selector.

Source: Cilium 1.20, pkg/policy/rule.go (mergePortProto), l4.go (createL4Filter, L7ParserType.Merge). Rules are taken in
the order of their objects' kind, namespace and name, then as written. Two rules on different ports as written, a range
and a port inside it included, or of different selectors never merge: then both entries stand, and precedence decides.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from isolation.policies.entities import Endpoints, Entity, Peer
from isolation.policies.http import EVERYTHING, HttpRule
from isolation.policies.identities import CLUSTER_ENTITIES, WORLD_ENTITIES, Identity
from isolation.policies.names import NamePattern
from isolation.policies.parsing import Rule
from isolation.policies.ports import PROTOCOLS, NamedPorts, Port, PortRange
from isolation.policies.rules import NO_CONTEXTS
from isolation.policies.selectors import Requirement

NONE, DNS, HTTP, TLS = "", "dns", "http", "tls"
PRECEDENCE = (HTTP, TLS, DNS)  # of redirects that meet on one port; all beat a plain allow
_PROMOTIONS = {NONE: {DNS, HTTP, TLS}, TLS: {HTTP}}

Lane = tuple[PortRange | None, Peer | None]  # a port range of one protocol (None: every port) and a selector


class MergeError(Exception):
    """The engine computes no policy for the endpoint, in neither direction; an agent would keep the old one."""


@dataclass(frozen=True)
class Reserved:
    """One entity's own selector, into which entity names expand."""

    name: str

    def selects(self, identity: Identity) -> bool:
        return identity.labels.value("reserved", self.name) is not None


@dataclass(frozen=True)
class Merged:
    """What all rules of one lane say together. dns, server_names, http: empty is no filter."""

    parser: str
    rules: tuple[Rule, ...]
    is_deny: bool = False
    dns: tuple[NamePattern, ...] = ()
    server_names: tuple[NamePattern, ...] = ()
    http: tuple[HttpRule, ...] = ()
    terminates_tls: bool = False
    contexts: tuple[str, str, str] = NO_CONTEXTS

    @property
    def has_l7(self) -> bool:
        return bool(self.dns or self.http)


@dataclass(frozen=True)
class Merge:
    """All lanes of one endpoint and direction."""

    lanes: dict[Lane, Merged]

    def of(self, peer: Identity, port: Port, named: NamedPorts) -> Iterator[Merged]:
        """What applies to a flow: covering ranges and the wildcard port too."""
        for (span, term), merged in self.lanes.items():
            if (span is None or span.covers(port, named)) and (term is None or term.selects(peer)):
                yield merged


def parser_of(rule: Rule) -> str:
    """The proxy to which a rule sends its traffic; empty for none. Deny rules carry no L7 rules."""
    return rule.redirects[0] if rule.redirects else NONE


def may_conflict(rules: Iterable[Rule]) -> bool:
    """Whether merging could fail or change a parser: two kinds of proxy on one port as written, or a context."""
    seen: dict[tuple[int, int, str], str] = {}
    for rule in rules:
        if rule.contexts != NO_CONTEXTS:
            return True
        if parser := parser_of(rule):
            for span in rule.ports or ():
                if seen.setdefault((span.first, span.last, span.name), parser) != parser:
                    return True
    return False


def merge(rules: Iterable[Rule], *, is_default_allow: bool) -> Merge:
    """rules: of one endpoint and direction, in order. Raises MergeError.

    is_default_allow: no rule asks for default deny; then L7 rules filter nothing, each list gets an entry for all.
    """
    lanes: dict[Lane, Merged] = {}
    for rule in rules:
        new = _single(rule, is_default_allow=is_default_allow)
        for lane in _lanes(rule):
            lanes[lane] = _joined(lanes[lane], new) if lane in lanes else new
    return Merge(lanes)


def _single(rule: Rule, *, is_default_allow: bool) -> Merged:
    dns, http = rule.dns or (), rule.http or ()
    if is_default_allow:
        dns = dns and (*dns, NamePattern("*", is_pattern=True))
        http = http and (*http, EVERYTHING)
    names = rule.server_names or ()
    return Merged(parser_of(rule), (rule,), rule.is_deny, dns, names, http, rule.terminates_tls, rule.contexts)


def _joined(old: Merged, new: Merged) -> Merged:
    """The order of these steps is the engine's; because L7 lists are looked at before they are joined, server names
    that come first accept HTTP rules, and HTTP rules that come first do not accept server names."""
    if old.is_deny:
        return old
    if new.is_deny:
        return new
    parser = _joined_parser(old.parser, new.parser)
    contexts = _joined_contexts(old.contexts, new.contexts)
    names = tuple(dict.fromkeys((*old.server_names, *new.server_names)))
    terminates = old.terminates_tls or new.terminates_tls
    if names and old.has_l7 and not terminates:
        message = "cannot merge server names with L7 rules that do not end TLS"
        raise MergeError(message)
    made = replace(
        old,
        parser=parser,
        rules=(*old.rules, *new.rules),
        server_names=names,
        terminates_tls=terminates,
        contexts=contexts,
    )
    if old.has_l7 != new.has_l7:  # a rule without L7 rules becomes one that lets everything pass
        kept = old if old.has_l7 else new
        everything = (NamePattern("*", is_pattern=True),)
        return replace(made, dns=kept.dns and kept.dns + everything, http=kept.http and (*kept.http, EVERYTHING))
    return replace(made, dns=(*old.dns, *new.dns), http=(*old.http, *new.http))


def _joined_parser(old: str, new: str) -> str:
    if old == new or old in _PROMOTIONS.get(new, ()):
        return old
    if new in _PROMOTIONS.get(old, ()):
        return new
    message = f"cannot merge conflicting L7 parsers ({old}/{new})"
    raise MergeError(message)


def _joined_contexts(old: tuple[str, str, str], new: tuple[str, str, str]) -> tuple[str, str, str]:
    """One side without one takes the other's; two that differ do not merge."""
    for name, mine, theirs in zip(("authentication", "terminating TLS", "originating TLS"), old, new, strict=True):
        if mine and theirs and mine != theirs:
            message = f"cannot merge conflicting {name} ({mine}/{theirs})"
            raise MergeError(message)
    return (old[0] or new[0], old[1] or new[1], old[2] or new[2])


def _lanes(rule: Rule) -> Iterator[Lane]:
    terms: tuple[Peer | None, ...] = (None,)
    if rule.peers is not None:
        terms = tuple(term for peer in rule.peers for term in _terms(peer))
    for span in _spans(rule):
        for term in dict.fromkeys(terms):
            yield span, term


def _spans(rule: Rule) -> Iterator[PortRange | None]:
    if rule.ports is None:
        yield None
    for span in rule.ports or ():
        protocols = PROTOCOLS if span.protocol == "ANY" else (span.protocol,)
        yield from (replace(span, protocol=protocol) for protocol in protocols)


def _terms(peer: Peer) -> tuple[Peer | None, ...]:
    """The selectors behind one peer as the engine keeps them; None selects everyone."""
    if isinstance(peer, Entity):
        match peer.name:
            case "all":
                return (None,)
            case "world":
                return tuple(map(Reserved, WORLD_ENTITIES))
            case "cluster" | "cluster-mesh":
                return (*map(Reserved, CLUSTER_ENTITIES), peer)
            case name:
                return (Reserved(name),)
    if isinstance(peer, Endpoints):
        terms = peer.selector.requirements
        if not terms:
            return (None,)
        if len(terms) == 1 and terms[0] == Requirement("reserved", terms[0].key, "In", frozenset({""})):
            return (Reserved(terms[0].key),)
    return (peer,)
