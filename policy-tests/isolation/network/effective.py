"""Effective (6): no policy object without effect. One whose removal changes no verdict protects nothing, and hides
that something else does: when the other is removed nobody notices."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from isolation.classes.cluster import Cluster, Outsider, Party
from isolation.classes.inventory import tenant_of
from isolation.classes.pod_classes import PodClass
from isolation.classes.roles import Role
from isolation.manifests.tree import Document
from isolation.network.outside import rebound
from isolation.policies.parsing import EGRESS, Parsed, Rule
from isolation.policies.ports import Port
from isolation.results import CounterExample, Result, origins
from isolation.verdicts.world import Side


def effective(cluster: Cluster) -> Result:
    """For each object some class of pods, peer, port or name that would be answered otherwise without it."""
    broken, witnesses = [], []
    for one in cluster.parsed:
        if one.rejected:
            continue  # `accepted` speaks of these
        witness = next(_differences(cluster, one.document, one.rules), None)
        if witness is not None:
            witnesses.append(f"{one.document.file}: without it {witness}")
        elif _is_guard(one):
            witnesses.append(f"{one.document.file}: denies what nothing allows yet; kept for the next tenant that asks")
        else:
            what = "changes no verdict; remove it, or the object that says the same"
            broken.append(CounterExample(one.document.file, what, origins(one.rules)))
    claim = "every policy changes some verdict"
    return Result("effective", claim, len(cluster.parsed), tuple(broken), evidence=tuple(witnesses), number=6)


def _is_guard(parsed: Parsed) -> bool:
    """An object of the platform that only denies: an allow that comes with a tenant meets it there already."""
    return parsed.document.place[:1] == ("platform",) and all(rule.is_deny for rule in parsed.rules)


def _differences(cluster: Cluster, document: Document, rules: tuple[Rule, ...]) -> Iterator[str]:
    """What would change, looked for where the object's own rules point, rendered pods first."""
    for rule in rules:
        subjects = [each for each in cluster.parties if rule.subject.matches(each.identity.labels)]
        for pods in sorted(subjects, key=lambda each: not (isinstance(each, PodClass) and each.is_rendered)):
            side = cluster.side(pods, rule.direction)
            if rule not in side.rules:
                continue
            own = tenant_of(document)
            whose = {None, own} if own else {None, *cluster.classes.tenants}
            with_it = _holding(side, lambda each: tenant_of(each.origin.document) in whose)  # noqa: B023
            without = _holding(with_it, lambda each: each.origin.document is not document)
            yield from _flows(cluster, rule, pods, sides=(with_it, without))


def _holding(side: Side, kept: Callable[[Rule], bool]) -> Side:
    """The side with some of its rules only.

    Rules of other tenants are left out before an object is asked about: two tenants may need the same of a pod that
    serves both, and then each of them needs its own object, which must stay when the other goes.
    """
    rules = tuple(rule for rule in side.rules if kept(rule))
    asked = any(rule.default_deny for rule in rules)
    return replace(side, rules=rules, is_enforced=bool(rules), denies_by_default=asked)


def _flows(cluster: Cluster, rule: Rule, party: Party, *, sides: tuple[Side, Side]) -> Iterator[str]:
    with_it, without = sides
    opens_by_default = with_it.denies_by_default and not without.denies_by_default
    others = cluster.parties if opens_by_default else _pointed_at(cluster, rule, party)
    for other in others:
        peer = other.identity
        selecting = [(side, side.selecting(peer)) for side in (with_it, without)]
        if all(side.is_shut(found, peer) for side, found in selecting):
            continue
        for port in cluster.ports if opens_by_default else _ports(cluster, rule):
            before, after = (side.decide(found, peer, port) for side, found in selecting)
            if before.is_allowed != after.is_allowed:
                yield f"{party} and {other} on {port}: {rule.direction} {'closes' if before.is_allowed else 'opens'}"
            elif before.l7 != after.l7:
                yield f"{party} and {other} on {port}: a filter goes"
    for other, port in ((server, port) for server in cluster.resolvers for port in _ports(cluster, rule)):
        if rule.dns is not None:
            names = [entry.text.replace("*", "x") for entry in rule.dns]
            for name in names:
                filters = (side.name_filter(other.identity, port) for side in (with_it, without))
                if len({found.query(name) for found in filters}) > 1:
                    yield f"{party} asks for {name}"


def _pointed_at(cluster: Cluster, rule: Rule, party: Party) -> Iterator[Party]:
    """Peers that the rule selects; of a deny of ranges also allowed names led there."""
    for other in cluster.parties:
        if rule.peers is None or any(peer.selects(other.identity) for peer in rule.peers):
            yield other
    if rule.is_deny and rule.direction == EGRESS and isinstance(party, PodClass):
        yield from (Outsider(Role("metadata"), identity) for identity in rebound(cluster, party))


def _ports(cluster: Cluster, rule: Rule) -> tuple[Port, ...]:
    return tuple(port for port in cluster.ports if rule.covers(port))
