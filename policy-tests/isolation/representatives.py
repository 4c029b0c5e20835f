"""What was found out about the judged tenants, said of all tenants that they stand for (shapes.py)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product

from isolation.answers.open_flows import OpenFlow
from isolation.manifests.shapes import names_in, renamed
from isolation.network.storage_claims import StorageClaims

Alike = Mapping[str, tuple[str, ...]]  # judged tenant -> all tenants of its shape


def flows_of_all(flows: Iterable[OpenFlow], alike: Alike) -> tuple[OpenFlow, ...]:
    """The open flows of every tenant, in the order of their text."""
    if not alike:
        return tuple(flows)
    made = set[OpenFlow]()
    seen = set[OpenFlow]()
    for flow in flows:
        judged = tuple(names_in(f"{flow.source} {flow.target} {flow.name}", alike))
        marks = {tenant: f"\0{number}\0" for number, tenant in enumerate(judged)}
        pattern = flow.renamed(lambda text: renamed(text, marks)) if judged else flow  # noqa: B023
        shapes = tuple(alike[tenant] for tenant in judged)
        if (key := pattern.renamed(lambda text: _by_shape(text, shapes))) in seen:  # noqa: B023
            continue  # another representative of the shape said it
        seen.add(key)
        for tenants in assignments(shapes):
            made.add(pattern.renamed(lambda text: _filled(text, tenants)))  # noqa: B023
    return tuple(sorted(made, key=str))


def claims_of_all(claims: StorageClaims, tenants: tuple[str, ...], alike: Alike) -> StorageClaims:
    """The storage claims of every pair of tenants."""
    if not alike:
        return claims
    found: dict[str, dict[str, frozenset[str]]] = {}
    for tenant, owners in claims.open_locks.items():
        for owner, locks in owners.items():
            shapes = tuple(alike.get(each, (each,)) for each in (tenant, owner))
            for one, other in assignments(shapes):
                found.setdefault(one, {})[other] = locks
    return StorageClaims(tenants, claims.usual, found)


def assignments(shapes: Sequence[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """One tenant of each shape, never one twice."""
    return (tenants for tenants in product(*shapes) if len(set(tenants)) == len(tenants))


def _by_shape(text: str, shapes: Sequence[tuple[str, ...]]) -> str:
    """The same text for all representatives of a shape: its first tenant in their place."""
    for number, members in enumerate(shapes):
        text = text.replace(f"\0{number}\0", f"\0{number} {members[0]}\0")
    return text


def _filled(text: str, tenants: Sequence[str]) -> str:
    for number, tenant in enumerate(tenants):
        text = text.replace(f"\0{number}\0", tenant)
    return text
