"""Why a flow is open or not: the locks on its way, each with its answer and the rules behind it.

Locks in the order in which a packet meets them: the DNS proxy at the source, egress at the source, ingress at the
destination, the TLS server name. All of them must be open. Credentials come last and are no part of the verdict: they
are outside of the network (DESIGN D10), and the tree's own invariant `buckets` answers for them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from isolation.answers.locks import (
    CREDENTIALS,
    DNS_LOCK,
    SERVER_NAME,
    Lock,
    dns_lock,
    locks_between,
    server_name_lock,
)
from isolation.answers.questions import MODELS, Question, has_policy
from isolation.classes.cluster import Cluster, Party
from isolation.classes.inventory import Inventory
from isolation.objects.credentials import buckets
from isolation.policies.parsing import EGRESS, INGRESS
from isolation.policies.ports import Port
from isolation.verdicts.world import PolicyWorld

_OF_NETWORK = (DNS_LOCK, EGRESS, INGRESS, SERVER_NAME)


@dataclass(frozen=True)
class Way:
    """One source, one destination and one port (or a name alone), with every lock between them."""

    source: Party
    destination: Party | None
    port: Port | None
    locks: tuple[Lock, ...]

    @property
    def is_open(self) -> bool:
        return all(lock.is_open for lock in self.network_locks)

    @property
    def network_locks(self) -> tuple[Lock, ...]:
        return tuple(lock for lock in self.locks if lock.kind in _OF_NETWORK)

    @property
    def closed(self) -> tuple[Lock, ...]:
        return tuple(lock for lock in self.network_locks if not lock.is_open)


@dataclass(frozen=True)
class Answer:
    """ways: every way that was asked about."""

    question: Question
    ways: tuple[Way, ...]

    @property
    def is_open(self) -> bool:
        """Whether some way is."""
        return any(way.is_open for way in self.ways)

    @property
    def outcome(self) -> str:
        """`allow` or `deny`; for a name alone what becomes of the query."""
        if self.question.destinations:
            return "allow" if self.is_open else "deny"
        return self.ways[0].locks[0].answer.partition(":")[0] if len(self.groups) == 1 else self._mixed

    @property
    def _mixed(self) -> str:
        return "answered" if self.is_open else "refused"

    @property
    def groups(self) -> tuple[tuple[Way, ...], ...]:
        """Ways whose locks answer the same by the same rules: open ones first, then by the objects behind them."""
        found: dict[tuple[object, ...], list[Way]] = {}
        for way in self.ways:
            found.setdefault(tuple((lock.kind, lock.answer, lock.by) for lock in way.locks), []).append(way)
        return tuple(sorted(map(tuple, found.values()), key=_reading_order))


def _reading_order(ways: tuple[Way, ...]) -> tuple[bool, int]:
    behind = {rule.origin.document for lock in ways[0].locks for rule in lock.by}
    return not ways[0].is_open, -len(behind)


def why(cluster: Cluster, asked: Question) -> Answer:
    """The answer in the cluster as it is rendered."""
    ways = ways_of(cluster, cluster.world, asked)
    if asked.bucket_owner:
        keys = _credentials(cluster, asked)
        ways = tuple(replace(way, locks=(*way.locks, *keys.get(way.source, ()))) for way in ways)
    return Answer(asked, ways)


def ways_of(cluster: Cluster, world: PolicyWorld, asked: Question) -> tuple[Way, ...]:
    """Every way, decided by the rules of `world`; who takes part is the cluster's."""
    return tuple(_ways(cluster, world, asked))


def _ways(cluster: Cluster, world: PolicyWorld, asked: Question) -> Iterator[Way]:
    for source in asked.sources:
        is_dialling = bool(asked.name) and has_policy(source) and not _is_entrance(asked, source)
        names = dns_lock(cluster, world, source, name=asked.name) if is_dialling else None
        before = () if names is None else (names,)
        if not asked.destinations:
            yield Way(source, None, None, before)
        for destination in asked.destinations:
            for port in asked.ports:
                locks = (*before, *locks_between(world, (source, destination), port, through=asked.through))
                if asked.name and destination.identity.names and has_policy(source):
                    locks = (*locks, server_name_lock(world, (source, destination), port, name=asked.name))
                yield Way(source, destination, port, locks)


def _is_entrance(asked: Question, party: Party) -> bool:
    return asked.through is not None and asked.through.party is party


def _credentials(cluster: Cluster, asked: Question) -> dict[Party, tuple[Lock]]:
    """What the keys of tenants' pods open, by the tree's invariant about buckets; the platform's are not judged."""
    found = buckets(Inventory(cluster.tree, cluster.profile, cluster.classes.tenants))
    said = f"refused: {found.claim} (invariant `{found.name}`)" if found.holds else f"not proved: {found.broken[0]}"
    foreign = Lock(kind=CREDENTIALS, is_open=not found.holds, answer=said)
    shared = Lock(kind=CREDENTIALS, is_open=True, answer="open: every tenant may read this bucket")
    own = Lock(kind=CREDENTIALS, is_open=True, answer="open: its own bucket")
    return {
        party: (
            shared if asked.bucket_owner == MODELS else own if party.role.tenant == asked.bucket_owner else foreign,
        )
        for party in asked.sources
        if party.role.tenant is not None
    }


def rules_that_select(world: PolicyWorld, parties: Iterable[Party]) -> PolicyWorld:
    """The world reduced to the rules that can decide about these parties, so that many changes of it can be tried."""
    labels = [party.identity.labels for party in parties if party.identity.is_endpoint]
    kept = [rule for rule in world.rules if any(rule.subject.matches(each) for each in labels)]
    return replace(world, rules=kept, _sides={})
