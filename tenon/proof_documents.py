"""A proof for machines: JSON, and SARIF for code scanning."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenon.sarif import Finding, Rule, sarif

if TYPE_CHECKING:
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
    """One result for each counter-example, at the first rule behind it."""
    results = {result.name: result for proof in proofs.values() for result in proof.results}
    rules = [Rule(name, name, result.claim) for name, result in results.items()]
    found = [
        _finding(root, folder, result, example)
        for folder, proof in proofs.items()
        for result in proof.broken
        for example in result.broken
    ]
    return sarif(rules, found)


def sarif_of_refusals(root: Path, refusals: "Sequence[Refused]") -> dict[str, Any]:
    """One result for each refusal."""
    places = [_place(root, [each.where], otherwise=each.where) for each in refusals]
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
        "broken": [_example(one) for one in result.broken],
    }
    return made | ({"evidence": list(result.evidence)} if explained else {})


def _example(one: "CounterExample") -> dict[str, Any]:
    made: dict[str, Any] = {"who": one.who, "what": one.what, "by": list(one.by)}
    return made | ({} if one.probe is None else {"probe": dict(one.probe), "answer": one.answer})


def _finding(root: Path, folder: Path, result: "Result", example: "CounterExample") -> Finding:
    place = _place(root, [*example.by, example.who], otherwise=str(folder))
    return Finding(result.name, "error", f"{example.who}: {example.what}", *place)


def _place(root: Path, texts: Sequence[str], *, otherwise: str) -> tuple[str, int]:
    """File and line of the first text that names a file."""
    for text in texts:
        if found := _PLACE.match(text):
            return _relative(root, found["file"]), int(found["line"] or 1)
    return _relative(root, otherwise), 1


def _relative(root: Path, file: str) -> str:
    path = Path(file)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
