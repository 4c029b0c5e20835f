"""A proof for machines: JSON, and SARIF for code scanning."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenon.sarif import Finding, Rule, sarif

if TYPE_CHECKING:
    from isolation.classes.certificates import SideCertificate
    from isolation.manifests.refusals import Refused
    from isolation.network.storage_claims import StorageClaim, StorageClaims
    from isolation.proof import Proof
    from isolation.results import CounterExample, Result

REFUSED = Rule("not-provable", "not-provable", "what the judge does not understand it refuses", "write it as rendered")
_NAMED = 3  # buckets, before they are counted
_PLACE = re.compile(r"(?P<file>\S.*?\.ya?ml)(:(?P<line>\d+))?(\s|$)")


def json_of(proofs: "Mapping[Path, Proof]", *, explained: bool) -> dict[str, Any]:
    """Totals over all clusters, then each cluster. explained: with the certificates."""
    return {
        "holds": all(proof.holds for proof in proofs.values()),
        "tenants": sum(len(proof.tenants) for proof in proofs.values()),
        "pairs": sum(proof.pairs for proof in proofs.values()),
        "flows": sum(proof.flows for proof in proofs.values()),
        "allowed": sorted(str(flow) for proof in proofs.values() for flow in proof.allowed),
        "clusters": {str(folder): _cluster(proof, explained=explained) for folder, proof in proofs.items()},
    }


def sarif_of(root: Path, proofs: "Mapping[Path, Proof]") -> dict[str, Any]:
    """One result for each counter-example, at the first rule behind it, else at the object that it is about.

    Files below the root are named from there, those of a tree elsewhere from the tree.
    """
    results = {result.name: result for proof in proofs.values() for result in proof.results}
    rules = [Rule(name, name, result.claim) for name, result in results.items()]
    found = [
        Finding(result.name, "error", message, *_Places(root, folder).place(texts))
        for folder, proof in proofs.items()
        for result in proof.broken
        for message, texts in _messages(proof, result)
    ]
    return sarif(rules, found)


def sarif_of_refusals(root: Path, folder: Path, refusals: "Sequence[Refused]") -> dict[str, Any]:
    """One result for each refusal; of a tree that holds no file at all, a result without a place."""
    first = min((path.as_posix() for path in folder.rglob("*.yaml") if path.is_file()), default="")
    places = [_Places(root, folder).place([each.where, first]) for each in refusals]
    found = [Finding(REFUSED.id, "error", str(each), *place) for each, place in zip(refusals, places, strict=True)]
    return sarif([REFUSED], found)


def claims_of(claims: "StorageClaims") -> "Iterator[tuple[str, str, StorageClaim]]":
    """Tenant, buckets and claim: one item for all buckets about which the claim is the same and nothing is open."""
    for tenant in claims.tenants:
        weak = claims.open_locks.get(tenant, {})
        yield from ((tenant, owner, claims.claim(tenant, owner)) for owner in sorted(weak) if owner != tenant)
        others = [owner for owner in claims.tenants if owner != tenant and owner not in weak]
        if others:
            yield tenant, _others(others), claims.claim(tenant, others[0])


def _others(owners: list[str]) -> str:
    return ", ".join(owners) if len(owners) <= _NAMED else f"all {len(owners)} others"


def _cluster(proof: "Proof", *, explained: bool) -> dict[str, Any]:
    storage = [
        {"tenant": tenant, "buckets": buckets, "level": claim.level, "locks": list(claim.locks)}
        for tenant, buckets, claim in claims_of(proof.claims)
    ]
    return {
        "holds": proof.holds,
        "tenants": list(proof.tenants),
        "judged": list(proof.judged),
        "pairs": proof.pairs,
        "flows": proof.flows,
        "classes": proof.classes,
        "storage": storage,
        "invariants": {
            result.name: _invariant(group, result, explained=explained)
            for group, results in proof.groups.items()
            for result in results
        },
    }


def _invariant(group: str, result: "Result", *, explained: bool) -> dict[str, Any]:
    made = {
        "group": group,
        "number": result.number or None,
        "row": result.row or None,
        "holds": result.holds,
        "claim": result.claim,
        "asked": result.asked,
        "remark": result.remark or None,
        "found": result.found,
        "broken": [_example(one) for one in result.broken],
    }
    if not explained:
        return made
    sides = [_side(certificate) for certificate in result.certificates]
    return made | {"evidence": list(result.evidence)} | ({"certificates": sides} if sides else {})


def _side(one: "SideCertificate") -> dict[str, Any]:
    """Rules as `file:line path`."""
    from isolation.results import origins

    return {
        "class": str(one.pods),
        "direction": one.direction,
        "default_deny": list(origins(one.default_deny)),
        "allows": list(origins(one.allows)),
        "foreign": sorted(map(str, one.foreign)),
    }


def _example(one: "CounterExample") -> dict[str, Any]:
    made: dict[str, Any] = {"who": one.who, "what": one.what, "by": list(one.by)}
    return made | ({} if one.probe is None else {"probe": dict(one.probe), "answer": one.answer})


def _messages(proof: "Proof", result: "Result") -> "Iterator[tuple[str, list[str]]]":
    """What to say, and the texts of which the first that names a file gives the place."""
    for one in result.broken:
        yield f"{one.who}: {one.what}", [*one.by, one.who, proof.homes[one.who]]
    if result.more:
        last = result.broken[-1]
        yield f"and {result.more:,} more, {result.found:,} in all", [*last.by, last.who, proof.homes[last.who]]
    if not result.broken:
        yield result.remark, [proof.homes[""]]


@dataclass(frozen=True)
class _Places:
    """Files of one tree, as code scanning wants them: relative."""

    root: Path
    folder: Path

    def place(self, texts: Sequence[str]) -> tuple[str, int]:
        """File and line of the first text that names a file."""
        found = next(filter(None, map(_PLACE.match, texts)), None)
        return (self._relative(Path(found["file"])), int(found["line"] or 1)) if found else ("", 1)

    def _relative(self, file: Path) -> str:
        whole = file.resolve()
        bases = (base.resolve() for base in (self.root, self.folder))
        return whole.relative_to(next(filter(whole.is_relative_to, bases), whole.parent)).as_posix()
