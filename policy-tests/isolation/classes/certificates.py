"""Certificates: what makes an invariant hold, with the documents and lines to read.

They are about what was judged, not about the claim: a reviewer opens the named lines and sees the same rules.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from isolation.classes.cluster import Cluster, Party
from isolation.classes.pod_classes import PodClass
from isolation.policies.parsing import EGRESS, INGRESS, Rule
from isolation.policies.ports import Port

_SHOWN = 3
_DIRECTIONS = (EGRESS, INGRESS)


@dataclass(frozen=True)
class SideCertificate:
    """One side of one class. default_deny: the rules that make it deny what none allows; allows: all that open it;
    foreign: the other tenants' classes to which they do, of which there should be none."""

    pods: PodClass
    direction: str
    default_deny: tuple[Rule, ...]
    allows: tuple[Rule, ...]
    foreign: tuple[Party, ...]


def sides(cluster: Cluster, tenants: Iterable[str]) -> Iterator[SideCertificate]:
    """Both sides of every class of the tenants."""
    chosen = set(tenants)
    for pods in cluster.classes.of_tenants:
        if pods.role.tenant in chosen:
            yield from (_side(cluster, pods, direction) for direction in _DIRECTIONS)


def by_namespace(certificates: Iterable[SideCertificate]) -> Iterator[str]:
    """One line for each namespace."""
    found: dict[str, list[SideCertificate]] = {}
    for each in certificates:
        found.setdefault(each.pods.namespace, []).append(each)
    yield from (_line(namespace, found[namespace]) for namespace in sorted(found))


def places(rules: Iterable[Rule]) -> tuple[str, ...]:
    """`file:line` of each rule, each once."""
    documents = ((rule.origin.document, rule.origin.path) for rule in rules)
    return tuple(sorted({f"{document.file}:{document.line(path)}" for document, path in documents}))


def shown(ports: Sequence[Port]) -> str:
    """The first ports, and how many more."""
    more = f" and {len(ports) - _SHOWN} more" if len(ports) > _SHOWN else ""
    return ", ".join(map(str, ports[:_SHOWN])) + more


def describe(party: Party, other: Party, *, direction: str, ports: Sequence[Port]) -> str:
    """`a -> b on 443/TCP is open in egress of a`."""
    source, destination = (party, other) if direction == EGRESS else (other, party)
    return f"{source} -> {destination} on {shown(ports)} is open in {direction} of {party}"


def _side(cluster: Cluster, pods: PodClass, direction: str) -> SideCertificate:
    rules = [rule for rule in cluster.side(pods, direction).rules if not rule.is_deny]
    reached = (other for other, _ in cluster.reached(pods, direction))
    return SideCertificate(
        pods,
        direction,
        default_deny=tuple(rule for rule in rules if rule.peers == ()),
        allows=tuple(rule for rule in rules if rule.peers != ()),
        foreign=tuple(other for other in reached if other.role.tenant not in {None, pods.role.tenant}),
    )


def _line(namespace: str, found: Sequence[SideCertificate]) -> str:
    by = ", ".join(places(rule for each in found for rule in each.default_deny)) or "no document"
    classes = len({each.pods for each in found})
    allows = len({rule for each in found for rule in each.allows})
    foreign = len({other for each in found for other in each.foreign})
    select = f"they open {foreign} classes of other tenants" if foreign else "none selects a pod of another tenant"
    return f"{namespace}: denied by default by {by}; {allows} rules allow {classes} classes anything, and {select}"
