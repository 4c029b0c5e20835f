"""`tenon prove`: that no tenant can reach another, from rendered/ alone; exit 1 with a counter-example."""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenon.clusters import clusters
from tenon.garbage import no_garbage
from tenon.output import CommandError, ExitCode, answer_json, answer_table, answer_text, say

if TYPE_CHECKING:
    from isolation.proof import Proof
    from isolation.results import CounterExample, Result

_SHOWN = 3  # counter-examples of each invariant that people get to read; --json has more
_EXPLAINED = 40  # lines of each certificate; --json --explain has all
_CLAIMS = 12  # rows of storage claims; tenants whose claims are the same are counted together beyond it
_EPILOG = "Exit codes: 0 proved, 1 broken, 2 not provable (input that is refused, each with its file and line)."


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("tree", nargs="?", type=Path, help="one cluster's folder (default: each below rendered/)")
    only = "judge the change of this tenant: the network whole, the rest of the tree for it and the platform"
    parser.add_argument("--only", metavar="TENANT", action="append", default=[], help=only)
    parser.add_argument("--explain", action="store_true", help="print the certificates: what makes each claim hold")
    parser.add_argument("--sarif", metavar="FILE", help="write the counter-examples for code scanning; - is stdout")


def run(options: argparse.Namespace) -> int:
    from tenon.proof_documents import json_of, sarif_of

    if options.json and options.sarif == "-":
        raise CommandError("--json and --sarif -: both write to standard output; give --sarif a file")
    proofs = {folder: _proved(options, folder) for folder in clusters(options.root, options.tree)}
    if options.sarif:
        _write_sarif(options.sarif, sarif_of(options.root, proofs))
    if options.json:
        answer_json(json_of(proofs, explained=options.explain))
    elif options.sarif != "-":
        for folder, proof in proofs.items():
            _tell(folder, proof)
            if options.explain:
                _explain(proof)
    _conclude(proofs)
    if options.only:
        named = ", ".join(dict.fromkeys(options.only))
        say(f"only {named}: what else tenants' folders hold, besides policies, was not judged")
    return int(ExitCode.OK if all(proof.holds for proof in proofs.values()) else ExitCode.CHECK_FAILED)


def _proved(options: argparse.Namespace, folder: Path) -> "Proof":
    """Raises CommandError with every refusal of the tree, and writes them for code scanning too."""
    from isolation.manifests.refusals import Refused
    from isolation.manifests.refused_inputs import refusals_of
    from isolation.proof import prove

    from tenon.proof_documents import sarif_of_refusals

    try:
        with no_garbage():
            return prove(folder, only=options.only)
    except Refused as refused:
        found = refusals_of(folder, refused)
    if options.sarif:
        _write_sarif(options.sarif, sarif_of_refusals(options.root, folder, found))
    raise CommandError("\n".join([f"{folder}: not provable:", *map(str, found)]))


def _write_sarif(target: str, document: dict[str, Any]) -> None:
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    if target == "-":
        answer_text(text)
        return
    try:
        Path(target).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{target}: cannot be written ({error.strerror}); name a file that can") from None


def _tell(folder: Path, proof: "Proof") -> None:
    network, *others = proof.groups.items()
    rows = [(one.number or "", one.name, one.claim, f"{one.asked:,}", _answer([one])) for one in network[1]]
    answer_table(f"{folder}: {_tenants(proof.tenants)}", ("", "invariant", "claim", "asked", ""), rows)
    groups = [(name, _named(of), f"{sum(one.asked for one in of):,}", _answer(of)) for name, of in others]
    answer_table("The rest of the tree", ("about", "invariants and their rows", "asked", ""), groups)
    answer_table(
        "What keeps tenants from each other's buckets", ("tenant", "buckets of", "level", "locks"), _claims(proof)
    )


def _claims(proof: "Proof") -> list[tuple[str, str, str, str]]:
    """One row for each tenant and kind of claim; where they are many, tenants of the same claim together."""
    from tenon.proof_documents import claims_of

    rows = [
        (tenant, buckets, claim.level, ", ".join(claim.locks) or "none on the network")
        for tenant, buckets, claim in claims_of(proof.claims)
    ]
    if len(rows) <= _CLAIMS:
        return rows
    tenants: dict[tuple[str, str, str], list[str]] = {}
    for tenant, *rest in rows:
        tenants.setdefault((rest[0], rest[1], rest[2]), []).append(tenant)
    return [(_tenants(found), *claim) for claim, found in tenants.items()]


def _explain(proof: "Proof") -> None:
    for result in proof.results:
        if not result.evidence:
            continue
        lines = [f"  {line}\n" for line in result.evidence[:_EXPLAINED]]
        if len(result.evidence) > _EXPLAINED:
            lines.append(f"  and {len(result.evidence) - _EXPLAINED} more lines; --json has all\n")
        answer_text("".join([f"\n{result.name}: {result.claim}\n", *lines]))


def _conclude(proofs: "Mapping[Path, Proof]") -> None:
    for proof in proofs.values():
        for result in proof.results:
            if result.remark:
                say(f"{result.name}: {result.remark}")
            for example in result.broken[:_SHOWN]:
                say(f"{result.name}: {_example(example)}")
            if result.found > _SHOWN:
                kept = f"the first {len(result.broken)}" if result.more else "all"
                say(f"{result.name}: and {result.found - _SHOWN:,} more; --json has {kept}")
        verdict = "proved" if proof.holds else "NOT proved"
        tenants = f"{len(proof.tenants)} tenant{'' if len(proof.tenants) == 1 else 's'}"
        say(f"{verdict}: {tenants}, {proof.pairs} ordered pairs, {proof.flows:,} flows and names asked")


def _example(example: "CounterExample") -> str:
    """The pod and the flow; with the line by which an engine can be asked (`tenon verdicts`, policy-tests/cases)."""
    if example.probe is None:
        return str(example)
    return f"{example}\n    ask {json.dumps(dict(example.probe), sort_keys=True)}: {example.answer}"


def _tenants(tenants: Sequence[str]) -> str:
    return ", ".join(tenants) if len(tenants) <= _CLAIMS else f"{len(tenants)} tenants"


def _named(results: "Iterable[Result]") -> str:
    return ", ".join(f"{one.name} {one.row}".rstrip() for one in results)


def _answer(results: "Sequence[Result]") -> str:
    if all(result.holds for result in results):
        return "holds"
    broken = sum(result.found for result in results)
    return f"BROKEN {broken:,}" if broken else "nothing asked"
