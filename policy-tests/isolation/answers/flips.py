"""The smallest single change that flips an answer: each candidate is tried on the world and the answer asked again.

A single change is one edit of one object, or one tenant key, which may be behind several objects. Smallest is the
one that changes the fewest lines. Where several locks hold and no single change flips the answer, the smallest change
of each lock is given; they are tried together.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

from isolation.answers.edits import closing, opening
from isolation.answers.locks import DNS_LOCK, Lock
from isolation.answers.object_edits import Edit, edited
from isolation.answers.questions import Question
from isolation.answers.why import Answer, Way, rules_that_select, ways_of
from isolation.classes.buckets import is_outside_host
from isolation.classes.cluster import Cluster
from isolation.classes.edges import TLS
from isolation.classes.pod_classes import CLUSTER, PodClass
from isolation.manifests.refusals import Refused
from isolation.manifests.tree import Document
from isolation.policies.parsing import EGRESS, parse_policy
from isolation.verdicts.world import PolicyWorld

_TRIED = 4  # closed ways for which edits are looked for, those with the fewest closed locks
_HOSTS = "egress"  # the object with a tenant's outside hosts, in its training namespace
_JOBS = ("step", "trainer")  # roles to which a tenant's `egress[]` opens hosts


@dataclass(frozen=True)
class Change:
    """edits: all at once. key: the tenant key that does it, if one does; tenant, host: whose file, what it lists there.

    is_addition: whether the host is added there; else it is removed.
    """

    edits: tuple[Edit, ...]
    key: str = ""
    tenant: str = ""
    host: str = ""
    is_addition: bool = True

    def __str__(self) -> str:
        return "; ".join(map(str, self.edits))

    @property
    def size(self) -> int:
        """Lines: of the tenant file where a key does it, of the objects otherwise."""
        return 1 if self.key else sum(edit.size for edit in self.edits)


@dataclass(frozen=True)
class Flip:
    """changes: one that flips the answer, or one for each lock, which flip it together; none when none was found."""

    changes: tuple[Change, ...]
    tried: int

    @property
    def is_single(self) -> bool:
        return len(self.changes) == 1


def flip(cluster: Cluster, answer: Answer) -> Flip:
    """The smallest change, verified."""
    search = _Search(cluster, answer)
    found: list[Change] = []
    tried = 0
    for way in search.ways:
        for change in sorted(search.candidates(way), key=_rank):
            tried += 1
            if search.is_flipped((change,), way):
                found.append(change)
                break
    if found:
        return Flip((min(found, key=_rank),), tried)
    together = [(changes, way) for way in search.ways if (changes := search.one_for_each_lock(way))]
    for changes, way in sorted(together, key=lambda each: sum(change.size for change in each[0])):
        if search.is_flipped(changes, way):
            return Flip(changes, tried)
    return Flip((), tried)


def _rank(change: Change) -> tuple[bool, int]:
    """Fewest lines first; a deny beside the rules that allow is the last resort."""
    return any(edit.is_deny for edit in change.edits), change.size


class _Search:
    """The ways for which changes are looked for, and the world on which they are tried."""

    def __init__(self, cluster: Cluster, answer: Answer) -> None:
        self.cluster, self.asked, self.was_open = cluster, answer.question, answer.is_open
        between = (self.asked.through.party,) if self.asked.through else ()
        self.world = rules_that_select(cluster.world, (*self.asked.sources, *between, *self.asked.destinations))
        ways = [way for way in answer.ways if way.is_open == self.was_open]
        self.ways = ways[:1] if self.was_open else _nearest(self.world, ways)

    def candidates(self, way: Way) -> Iterator[Change]:
        yield from self._keys(way)
        for lock in way.network_locks if self.was_open else way.closed:
            yield from self._edits(lock)

    def one_for_each_lock(self, way: Way) -> tuple[Change, ...]:
        """The smallest changes that open each closed lock; empty where one of them cannot be opened."""
        found = [self._smallest(way, number) for number, lock in enumerate(way.locks) if lock in way.closed]
        return tuple({str(change): change for changes in found for change in changes}.values()) if all(found) else ()

    def is_flipped(self, changes: tuple[Change, ...], way: Way) -> bool:
        """What is open must be shut on every way; of what is shut it is enough to open this one."""
        ways = self._ways(changes, self.asked if self.was_open else self._only(way))
        return bool(ways) and any(each.is_open for each in ways) != self.was_open

    def _edits(self, lock: Lock) -> Iterator[Change]:
        name = self.asked.name
        if self.was_open:
            edits = closing(lock, self.world, name, on_every_port=len(self.asked.ports) > 1)
        else:
            edits = opening(lock, self.world, name)
        yield from (Change((edit,)) for edit in edits)

    def _smallest(self, way: Way, number: int) -> tuple[Change, ...]:
        """One change that opens the lock, or two: a deny stands before a default deny."""
        single = sorted(self._edits(way.locks[number]), key=lambda each: each.size)
        pairs = sorted(combinations(single, 2), key=lambda pair: pair[0].size + pair[1].size)
        for changes in [*((change,) for change in single), *pairs]:
            after = self._ways(changes, self._only(way))
            if after and after[0].locks[number].is_open:
                return changes
        return ()

    def _only(self, way: Way) -> Question:
        destinations = () if way.destination is None else (way.destination,)
        ports = () if way.port is None else (way.port,)
        return replace(self.asked, sources=(way.source,), destinations=destinations, ports=ports)

    def _ways(self, changes: Iterable[Change], asked: Question) -> tuple[Way, ...]:
        """Every way in the changed world; none when the change makes no policy that is understood."""
        edits = [edit for change in changes for edit in change.edits]
        try:
            return ways_of(self.cluster, _changed(self.world, edits), asked)
        except Refused:
            return ()

    def _keys(self, way: Way) -> Iterator[Change]:
        """A host in the tenant's `egress[]`, which is behind two objects: the list of names and the rule."""
        host, source = self.asked.name, way.source
        if not isinstance(source, PodClass) or source.role.name not in _JOBS or not is_outside_host(host):
            return
        if self.asked.bucket_owner or self.asked.through or way.port not in {None, TLS}:
            return
        edits = tuple((_without_host if self.was_open else _with_host)(self.world, way, host))
        if edits:
            yield Change(edits, "egress", source.role.tenant or "", host, is_addition=not self.was_open)


def _nearest(world: PolicyWorld, ways: Iterable[Way]) -> list[Way]:
    """Of each source and destination the way that is nearest to open, and the first of those."""
    found: dict[tuple[object, object], Way] = {}
    for way in sorted(ways, key=partial(_distance, world)):
        found.setdefault((way.source, way.destination), way)
    return list(found.values())[:_TRIED]


def _distance(world: PolicyWorld, way: Way) -> tuple[bool, int, int, int]:
    """How far a closed way is from open: pods that may start, few locks, a port and rules that are there already."""
    pods = [party for party in (way.source, way.destination) if isinstance(party, PodClass)]
    sides = [world.side(lock.asked.subject.identity, lock.asked.direction) for lock in way.closed if lock.asked]
    allows = [[rule for rule in side.rules if not rule.is_deny and rule.peers] for side in sides]
    named = sum(1 for rules in allows if way.port and any(rule.covers(way.port) for rule in rules))
    return not all(pod.exists for pod in pods), len(way.closed), -named, -sum(1 for rules in allows if rules)


def _changed(world: PolicyWorld, edits: Iterable[Edit]) -> PolicyWorld:
    """The world with the edited objects in place of those that they were."""
    of_each: dict[Document, list[Edit]] = {}
    for edit in edits:
        of_each.setdefault(edit.document, []).append(edit)
    kept = [rule for rule in world.rules if rule.origin.document not in of_each]
    changed = (edited(document, made) for document, made in of_each.items())
    rules = [rule for document in changed for rule in parse_policy(document, cluster=CLUSTER).rules]
    return replace(world, rules=[*kept, *rules], _sides={})


def _with_host(world: PolicyWorld, way: Way, host: str) -> Iterator[Edit]:
    """What a host in `egress[]` adds: its name to the DNS list, and a rule by name and server name."""
    for lock in way.closed:
        edits = [edit for edit in opening(lock, world, host) if lock.kind == DNS_LOCK or _is_host_rule(edit)]
        if lock.kind in {DNS_LOCK, EGRESS}:
            yield from sorted(edits, key=lambda edit: edit.is_new)[:1]


def _without_host(world: PolicyWorld, way: Way, host: str) -> Iterator[Edit]:
    """What goes with a host of `egress[]`: its name in the DNS list, and its rule."""
    for lock in way.locks:
        edits = closing(lock, world, host, on_every_port=False)
        if lock.kind in {DNS_LOCK, EGRESS}:
            yield from [edit for edit in edits if lock.kind == DNS_LOCK or _is_host_rule(edit)][:1]


def _is_host_rule(edit: Edit) -> bool:
    """A whole rule of the object in which a tenant's outside hosts are rendered, or would be."""
    return edit.is_new or (edit.document.name == _HOSTS and isinstance(edit.path[-1], int))
