"""Rules of the given objects, as the evaluator reads them, and which of them are about the same pods and peers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from isolation.linting.constraints import Limits, limits, surely_meet
from isolation.linting.objects import SECTIONS, Policy
from isolation.manifests.reading import DocumentPath
from isolation.policies.entities import Cidr, Endpoints, Entity, Fqdn, Peer
from isolation.policies.labels import CLUSTER, NAMESPACE
from isolation.policies.parsing import EGRESS, Rule
from isolation.policies.ports import PROTOCOLS, Port

_EVERYONE, _OUTSIDE = frozenset({"all"}), frozenset({"all", "world", "world-ipv4", "world-ipv6"})


@dataclass(frozen=True, eq=False)
class Placed:
    """One rule of one object."""

    policy: Policy
    rule: Rule

    @cached_property
    def reference(self) -> str:
        return self.policy.reference

    @property
    def side(self) -> tuple[str, bool]:
        """Only rules of one side have to do with each other: a direction, of pods or of nodes."""
        return self.rule.direction, self.rule.on_nodes

    @cached_property
    def subject(self) -> Limits:
        return limits(self.rule.subject.requirements)

    @cached_property
    def values(self) -> frozenset[tuple[str, str]]:
        """Key and value of everything that the subject asks for, except where it lives."""
        return frozenset(
            (key, value)
            for key, limit in self.subject.items()
            if key not in {NAMESPACE, CLUSTER}
            for value in limit.values or ()
        )

    @cached_property
    def is_loose(self) -> bool:
        """The subject asks for no value, or for something else besides values."""
        others = (limit for key, limit in self.subject.items() if key not in {NAMESPACE, CLUSTER})
        return not self.values or any(limit.values is None or limit.without for limit in others)

    @property
    def path(self) -> DocumentPath:
        return self.rule.origin.path

    @property
    def entry_path(self) -> DocumentPath:
        """Up to the section's item."""
        for step, name in enumerate(self.path):
            if name in SECTIONS:
                return self.path[: step + 2]
        return self.path

    @property
    def opens_egress(self) -> bool:
        return self.rule.direction == EGRESS and not self.rule.is_deny

    @property
    def is_plain(self) -> bool:
        """No proxy looks at its traffic."""
        return not self.rule.redirects

    @property
    def shown(self) -> str:
        """`CiliumNetworkPolicy team-a/dns (policies.yaml:12)`."""
        document = self.policy.document
        return f"{self.reference} ({document.file}:{document.line(self.path)})"

    def exact_ports(self) -> set[Port]:
        """Ports that the rule names one by one, per protocol."""
        spans = [span for span in self.rule.ports or () if span.first == span.last and not span.name]
        return {
            Port(span.first, protocol)
            for span in spans
            for protocol in (PROTOCOLS if span.protocol == "ANY" else (span.protocol,))
        }

    @property
    def leads_outside(self) -> bool:
        """To addresses outside of the cluster."""
        peers = self.rule.peers
        if peers is None:
            return True
        return any(isinstance(peer, Cidr | Fqdn) or is_entity(peer, _OUTSIDE) for peer in peers)


@dataclass(frozen=True)
class Rules:
    """judged: the rules that findings are asked of. all: those that can meet them."""

    judged: tuple[Placed, ...]
    all: tuple[Placed, ...]

    def beside(self, one: Placed) -> Iterator[Placed]:
        """Rules about the same pods in the same direction. Two files that hold one object are two states of it."""
        for other in self._candidates(one):
            if other is one or (other.policy is not one.policy and other.reference == one.reference):
                continue
            if other.side == one.side and surely_meet(one.subject, other.subject):
                yield other

    def _candidates(self, one: Placed) -> Iterable[Placed]:
        """Subjects that agree share a value of some key, or one of them asks for none in particular."""
        if one.is_loose:
            return self.all
        shared = {id(placed): placed for value in one.values for placed in self._by_value.get(value, ())}
        return (*self._loose, *shared.values())

    @cached_property
    def _loose(self) -> tuple[Placed, ...]:
        return tuple(placed for placed in self.all if placed.is_loose)

    @cached_property
    def _by_value(self) -> dict[tuple[str, str], list[Placed]]:
        found: dict[tuple[str, str], list[Placed]] = {}
        for placed in self.all:
            if not placed.is_loose:
                for value in placed.values:
                    found.setdefault(value, []).append(placed)
        return found


def groups(rules: Iterable[Placed]) -> Iterator[Rules]:
    """The rules by the namespaces of their subjects, each group with those of every namespace; these come last, with
    all."""
    everything = tuple(rules)
    everywhere = tuple(placed for placed in everything if placed.rule.subject.namespaces is None)
    found: dict[str, list[Placed]] = {}
    for placed in everything:
        for namespace in placed.rule.subject.namespaces or ():
            found.setdefault(namespace, []).append(placed)
    yield from (Rules(tuple(mine), (*everywhere, *mine)) for mine in found.values())
    yield Rules(everywhere, everything)


def peers_meet(one: Rule, other: Rule) -> bool:
    """Whether some peer is selected by both."""
    if one.peers is None or other.peers is None:
        return True
    return any(_meet(mine, yours) or _meet(yours, mine) for mine in one.peers for yours in other.peers)


def same_selector(one: Rule, other: Rule) -> bool:
    """Whether both name one peer in the same words: only then do their L7 rules merge into one filter."""
    if one.peers is None or other.peers is None:
        return one.peers is other.peers
    return any(mine == yours for mine in one.peers for yours in other.peers)


def is_entity(peer: Peer, names: frozenset[str]) -> bool:
    return isinstance(peer, Entity) and peer.name in names


def _meet(one: Peer, other: Peer) -> bool:
    if one == other or is_entity(one, _EVERYONE):
        return True
    match one, other:
        case Endpoints(), Endpoints():
            return surely_meet(limits(one.selector.requirements), limits(other.selector.requirements))
        case Entity(name="cluster"), Endpoints():
            return True
        case Entity(), Cidr() | Fqdn():
            return one.name in _OUTSIDE
        case Cidr(), Cidr():
            return one.network.version == other.network.version and one.network.overlaps(other.network)
        case _:
            return False
