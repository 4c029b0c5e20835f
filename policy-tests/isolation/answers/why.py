"""Why a flow is open or not: the locks on its way, each with its answer and the rules behind it.

Locks in the order in which a packet meets them: the DNS proxy at the source, egress at the source, ingress at the
destination, the TLS server name. All of them must be open. Credentials come last and are no part of the verdict: they
are outside of the network (DESIGN D10), and the tree's own invariant `buckets` answers for them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from isolation.answers.questions import MODELS, Question, has_policy
from isolation.classes.cluster import Cluster, Party
from isolation.classes.edges import DNS
from isolation.classes.inventory import Inventory
from isolation.objects.credentials import buckets
from isolation.policies.identities import Identity
from isolation.policies.parsing import EGRESS, INGRESS, Rule
from isolation.policies.ports import Port
from isolation.verdicts.envoy import Hop, server_name_verdict
from isolation.verdicts.world import Dns, PolicyWorld, Side, SideVerdict

DNS_LOCK, SERVER_NAME, CREDENTIALS = "dns", "server name", "credentials"
_OF_NETWORK = (DNS_LOCK, EGRESS, INGRESS, SERVER_NAME)


@dataclass(frozen=True)
class Asked:
    """Whose side was asked about whom, in which direction and on which port."""

    subject: Party
    peer: Identity
    port: Port
    direction: str = EGRESS


@dataclass(frozen=True, kw_only=True)
class Lock:
    """One place where a flow may be stopped. kind: dns, egress, ingress, server name, credentials.

    by: the rules that decided, or on default deny those that ask for it. asked: None for credentials.
    """

    kind: str
    is_open: bool
    answer: str
    by: tuple[Rule, ...] = ()
    asked: Asked | None = None


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
        names = _dns_lock(cluster, world, source, asked.name) if asked.name and has_policy(source) else None
        before = () if names is None else (names,)
        if not asked.destinations:
            yield Way(source, None, None, before)
        for destination in asked.destinations:
            for port in asked.ports:
                locks = (*before, *_flow_locks(world, source, destination, port))
                if asked.name and destination.identity.names and has_policy(source):
                    locks = (*locks, _server_name(world, (source, destination), port, asked.name))
                yield Way(source, destination, port, locks)


def _flow_locks(world: PolicyWorld, source: Party, destination: Party, port: Port) -> Iterator[Lock]:
    for kind, subject, peer in ((EGRESS, source, destination), (INGRESS, destination, source)):
        if not has_policy(subject):
            continue
        side = world.side(subject.identity, kind)
        verdict = side.verdict(peer.identity, port)
        by = verdict.by or (() if verdict.is_allowed else default_denies(side))
        said = _said(side, verdict, peer.identity)
        asked = Asked(subject, peer.identity, port, kind)
        yield Lock(kind=kind, is_open=verdict.is_allowed, answer=said, by=by, asked=asked)


def default_denies(side: Side) -> tuple[Rule, ...]:
    """The rules that make a side deny by default; objects that do nothing else stand for the others."""
    asking = tuple(rule for rule in side.rules if rule.default_deny)
    bare = tuple(rule for rule in asking if rule.peers == ())
    return bare or asking[:1]


def _said(side: Side, verdict: SideVerdict, peer: Identity) -> str:
    if verdict.error:
        return f"denied: its policies cannot be merged, {verdict.error}"
    if verdict.by:
        word = "allowed" if verdict.is_allowed else "denied by a deny rule"
        return f"{word}, through the proxy ({', '.join(verdict.l7)})" if verdict.l7 else word
    if not verdict.is_allowed:
        return "denied by default: no rule allows it"
    if not side.rules:
        return "allowed: no policy selects it in this direction"
    return "allowed: the node reaches its own pods (probes)" if peer.is_node else "allowed: nothing denies by default"


def _dns_lock(cluster: Cluster, world: PolicyWorld, source: Party, name: str) -> Lock:
    """What becomes of the query at the cluster's resolvers; a name is open if any of them answers it."""
    found: Lock | None = None
    for server in cluster.resolvers:
        for port in DNS:
            side = world.side(source.identity, EGRESS)
            names = side.name_filter(server.identity, port)
            outcome = names.query(name)
            is_open = outcome in {Dns.ANSWERED, Dns.UNFILTERED}
            rules = names.passing(name) if outcome is Dns.ANSWERED else names.rules
            if outcome is Dns.DROPPED and not rules:
                rules = default_denies(side)
            asked = Asked(source, server.identity, port)
            lock = Lock(kind=DNS_LOCK, is_open=is_open, answer=_DNS_SAID[outcome], by=rules, asked=asked)
            if found is None or (is_open and not found.is_open):
                found = lock
    return found or Lock(kind=DNS_LOCK, is_open=False, answer="dropped: the tree has no resolver")


_DNS_SAID = {
    Dns.DROPPED: "dropped: the query does not reach the resolver",
    Dns.UNFILTERED: "unfiltered: no list of names is on this path",
    Dns.ANSWERED: "answered: a list names it",
    Dns.REFUSED: "refused: no list names it",
}


def _server_name(world: PolicyWorld, flow: tuple[Party, Party], port: Port, name: str) -> Lock:
    """The TLS server name on a way that is open at L4, by the model of what Envoy decides."""
    source, destination = flow
    verdict = world.side(source.identity, EGRESS).verdict(destination.identity, port)
    lock = Lock(
        kind=SERVER_NAME,
        is_open=False,
        answer="not asked: no packet arrives",
        asked=Asked(source, destination.identity, port),
    )
    if not verdict.is_allowed:
        return lock
    found = server_name_verdict(Hop(world.side(source.identity, EGRESS), destination.identity, port), name)
    if not found.is_allowed:
        return replace(lock, answer="refused: no list has it", by=found.by)
    if any(rule.server_names is None for rule in found.by) or not found.by:
        return replace(lock, is_open=True, answer="any name passes: a rule on this port lists none", by=found.by)
    listing = tuple(rule for rule in found.by if any(entry.matches(name) for entry in rule.server_names or ()))
    return replace(lock, is_open=True, answer="passes: a list has it", by=listing or found.by)


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
