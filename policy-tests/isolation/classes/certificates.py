"""Certificates: the lines that say what makes an invariant hold, with the documents and lines to read.

They are about what was judged, not about the claim: a reviewer opens the named lines and sees the same rules.
"""

from collections.abc import Iterable, Iterator, Sequence

from isolation.classes.cluster import Cluster, Party
from isolation.classes.pod_classes import PodClass
from isolation.policies.parsing import EGRESS, INGRESS, Origin, Rule
from isolation.policies.ports import Port

_SHOWN = 3


def sides_of_namespaces(cluster: Cluster, tenants: Iterable[str]) -> Iterator[str]:
    """For each namespace of the tenants: the default deny, and that no allow of its pods selects a foreign one."""
    chosen = set(tenants)
    for namespace, pods in sorted(cluster.classes.by_namespace.items()):
        owned = [each for each in pods if each.role.tenant in chosen]
        if owned:
            yield _side(cluster, namespace, owned)


def shown(ports: Sequence[Port]) -> str:
    """The first ports, and how many more."""
    more = f" and {len(ports) - _SHOWN} more" if len(ports) > _SHOWN else ""
    return ", ".join(map(str, ports[:_SHOWN])) + more


def describe(party: Party, other: Party, *, direction: str, ports: Sequence[Port]) -> str:
    """`a -> b on 443/TCP is open in egress of a`."""
    source, destination = (party, other) if direction == EGRESS else (other, party)
    return f"{source} -> {destination} on {shown(ports)} is open in {direction} of {party}"


def _side(cluster: Cluster, namespace: str, pods: Sequence[PodClass]) -> str:
    denying: dict[str, None] = {}
    allows: dict[Rule, None] = {}
    for each in pods:
        for direction in (EGRESS, INGRESS):
            for rule in cluster.side(each, direction).rules:
                if rule.peers == () and not rule.is_deny:
                    denying[_line(rule.origin)] = None
                elif not rule.is_deny:
                    allows[rule] = None
    by = ", ".join(sorted(denying)) or "no document"
    allowing = f"{len(allows)} rules allow {len(pods)} classes anything"
    return f"{namespace}: denied by default by {by}; {allowing}, and none selects a pod of another tenant"


def _line(origin: Origin) -> str:
    return f"{origin.document.file}:{origin.document.line(origin.path)}"
