"""`tenon prove`: that no tenant can reach another, from rendered/ alone; exit 1 with a counter-example."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenon.clusters import clusters
from tenon.garbage import no_garbage
from tenon.output import CommandError, ExitCode, answer_json, answer_table, say

if TYPE_CHECKING:
    from isolation.proof import Proof
    from isolation.results import Result

_SHOWN = 3  # counter-examples of each invariant that people get to read; --json has all


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tree", nargs="?", type=Path, help="one cluster's folder (default: each below rendered/)")


def run(options: argparse.Namespace) -> int:
    from isolation.proof import prove
    from isolation.refusals import Refused

    proofs: dict[Path, Proof] = {}
    for folder in clusters(options.root, options.tree):
        try:
            with no_garbage():
                proofs[folder] = prove(folder)
        except Refused as refused:
            raise CommandError(f"{folder}: not provable:\n{refused}") from None
    if options.json:
        answer_json(_document(proofs))
    else:
        for folder, proof in proofs.items():
            _tell(folder, proof)
    return int(ExitCode.OK if all(proof.holds for proof in proofs.values()) else ExitCode.CHECK_FAILED)


def _tell(folder: Path, proof: "Proof") -> None:
    network, *others = proof.groups.items()
    rows = [(one.name, one.claim, f"{one.asked:,}", _answer([one])) for one in network[1]]
    answer_table(f"{folder}: {', '.join(proof.tenants)}", ("invariant", "claim", "asked", ""), rows)
    groups = [(name, _named(of), f"{sum(one.asked for one in of):,}", _answer(of)) for name, of in others]
    answer_table("The rest of the tree", ("about", "invariants and their rows", "asked", ""), groups)
    for result in proof.results:
        if result.remark:
            say(f"{result.name}: {result.remark}")
        for example in result.broken[:_SHOWN]:
            say(f"{result.name}: {example}")
        if len(result.broken) > _SHOWN:
            say(f"{result.name}: and {len(result.broken) - _SHOWN} more; --json has all")
    verdict = "proved" if proof.holds else "NOT proved"
    tenants = f"{len(proof.tenants)} tenant{'' if len(proof.tenants) == 1 else 's'}"
    say(f"{verdict}: {tenants}, {proof.pairs} ordered pairs, {proof.flows:,} flows and names asked")


def _named(results: "Iterable[Result]") -> str:
    return ", ".join(f"{one.name} {one.row}".rstrip() for one in results)


def _answer(results: "Sequence[Result]") -> str:
    if all(result.holds for result in results):
        return "holds"
    broken = sum(len(result.broken) for result in results)
    return f"BROKEN {broken}" if broken else "nothing asked"


def _document(proofs: dict[Path, "Proof"]) -> dict[str, Any]:
    """Totals over all clusters, then each cluster."""
    return {
        "holds": all(proof.holds for proof in proofs.values()),
        "tenants": sum(len(proof.tenants) for proof in proofs.values()),
        "pairs": sum(proof.pairs for proof in proofs.values()),
        "flows": sum(proof.flows for proof in proofs.values()),
        "allowed": sorted(str(flow) for proof in proofs.values() for flow in proof.allowed),
        "clusters": {str(folder): _cluster(proof) for folder, proof in proofs.items()},
    }


def _cluster(proof: "Proof") -> dict[str, Any]:
    return {
        "holds": proof.holds,
        "tenants": list(proof.tenants),
        "pairs": proof.pairs,
        "flows": proof.flows,
        "classes": proof.classes,
        "invariants": {
            result.name: {
                "group": group,
                "row": result.row or None,
                "holds": result.holds,
                "claim": result.claim,
                "asked": result.asked,
                "remark": result.remark or None,
                "broken": [{"who": one.who, "what": one.what, "by": list(one.by)} for one in result.broken],
            }
            for group, results in proof.groups.items()
            for result in results
        },
    }
