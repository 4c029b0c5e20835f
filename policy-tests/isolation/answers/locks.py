"""Locks: each place where a flow may be stopped, with its answer in words and the rules behind it.

The last, credentials, is made in why.py, because no rule answers for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from isolation.answers.public_hosts import Entrance
from isolation.answers.questions import has_policy
from isolation.classes.cluster import Cluster, Party
from isolation.classes.edges import DNS
from isolation.policies.identities import Identity
from isolation.policies.parsing import EGRESS, INGRESS, Rule
from isolation.policies.ports import Port
from isolation.verdicts.envoy import Hop, server_name_verdict
from isolation.verdicts.world import Dns, PolicyWorld, Side, SideVerdict

DNS_LOCK, SERVER_NAME, CREDENTIALS = "dns", "server name", "credentials"


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


def locks_between(
    world: PolicyWorld, flow: tuple[Party, Party], port: Port, *, through: Entrance | None
) -> Iterator[Lock]:
    """Of one flow; with an entrance between, of the one that ends there, if it does not begin there, and the next."""
    source, destination = flow
    if through is None:
        yield from _flow_locks(world, source, destination, port=port)
        return
    if source is not through.party:
        for lock in _flow_locks(world, source, through.party, port=through.port):
            yield replace(lock, answer=f"{lock.answer} (to {through.party} {through.port})")
    for lock in _flow_locks(world, through.party, destination, port=port):
        yield replace(lock, answer=f"{lock.answer} (from {through.party})")


def _flow_locks(world: PolicyWorld, source: Party, destination: Party, *, port: Port) -> Iterator[Lock]:
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


def dns_lock(cluster: Cluster, world: PolicyWorld, source: Party, *, name: str) -> Lock:
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


def server_name_lock(world: PolicyWorld, flow: tuple[Party, Party], port: Port, *, name: str) -> Lock:
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
