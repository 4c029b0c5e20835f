"""One run of the generated differential test: the same lines to Cilium's engine and to our evaluator.

`python -m differential.campaign --seed 7 --flows 1000000` looks for mismatches and prints the first, shrunk; with
`--save` it appends them to policy-tests/cases/regressions.jsonl, which every later run is held to.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isolation.worlds.answering import answers

from differential.expected import differences, expected, is_refused
from differential.generate import worlds
from differential.shrink import shrunk

REGRESSIONS = Path(__file__).parents[1] / "cases" / "regressions.jsonl"
Line = dict[str, Any]
Engine = Callable[[Sequence[Line]], Sequence[Line]]


@dataclass(frozen=True)
class Mismatch:
    """A world, with or without one flow, to which the two answers differ in these fields."""

    lines: tuple[Line, ...]
    fields: tuple[str, ...]


@dataclass(eq=False)
class Outcome:
    """Figures of one run. engines: what the engine answered, by verdict; refused: by the reason we gave."""

    flows: int = 0
    worlds: int = 0
    objects: Counter[str] = field(default_factory=Counter)
    engines: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    drawn: Counter[str] = field(default_factory=Counter)
    mismatches: list[Mismatch] = field(default_factory=list)

    @property
    def refused_share(self) -> float:
        return self.refused.total() / max(1, self.flows)

    def __str__(self) -> str:
        verdicts = ", ".join(f"{count} {name}" for name, count in sorted(self.engines.items()))
        objects = ", ".join(f"{count} {name}" for name, count in sorted(self.objects.items()))
        return (
            f"{self.flows} flows ({verdicts}) in {self.worlds} worlds, objects {objects}; "
            f"{self.refused.total()} refused by name ({self.refused_share:.1%}), {len(self.mismatches)} mismatches"
        )


def run(engine: Engine, *, seed: int, flows: int, at_most: int = 20) -> Outcome:
    """Asks until `flows` flows were put, or `at_most` mismatches were found."""
    outcome = Outcome()
    for made in worlds(seed, flows=flows):
        _tally(outcome, made.lines, engine(made.lines))
        outcome.drawn.update(made.drawn)
        if len(outcome.mismatches) >= at_most:
            break
    return outcome


def minimal(mismatch: Mismatch, engine: Engine) -> list[Line]:
    """The mismatch cut down, carrying the engine's answers in `expect*` fields: a line pair of the case format."""

    def differs(lines: Sequence[Line]) -> bool:
        mine, theirs = ours(lines), engine(lines)
        return differences(mine[-1], theirs[-1]) == mismatch.fields

    lines = shrunk(mismatch.lines, differs)
    return [line | expected(answer) for line, answer in zip(lines, engine(lines), strict=True)]


def save(lines: Iterable[Line], file: Path = REGRESSIONS) -> int:
    """Appends lines that `minimal` made; a world that stands there already, under its id, is not saved twice.

    Returns how many lines were written.
    """
    known = (
        {json.loads(line)["id"] for line in file.read_text(encoding="utf-8").splitlines()} if file.exists() else set()
    )
    fresh = [line for line in lines if line["id"] not in known]
    with file.open("a", encoding="utf-8") as written:
        written.writelines(json.dumps(line) + "\n" for line in fresh)
    return len(fresh)


def ours(lines: Iterable[Line]) -> list[Line]:
    """Our evaluator's answers."""
    return list(answers(json.dumps(line) for line in lines))


def _tally(outcome: Outcome, lines: Sequence[Line], engines: Sequence[Line]) -> None:
    outcome.worlds += 1
    outcome.flows += len(lines) - 1
    outcome.objects.update(expected(engines[0])["expect_policies"])
    outcome.engines.update(each.get("verdict", "error") for each in engines[1:])
    answered = ours(lines)
    if is_refused(answered[0]):
        outcome.refused[answered[0]["refused"]] += len(lines) - 1
        return
    outcome.refused.update(mine["refused"] for mine in answered if is_refused(mine))
    for line, mine, theirs in zip(lines, answered, engines, strict=True):
        if fields := differences(mine, theirs):
            about = (line,) if line is lines[0] else (lines[0], line)
            outcome.mismatches.append(Mismatch(about, fields))
            return  # one per world; the others are most often the same


def main() -> int:
    from controlplane.oracle import Oracle

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--flows", type=int, default=1_000_000)
    parser.add_argument(
        "--save", action="store_true", help=f"append the smallest worlds that differ to {REGRESSIONS.name}"
    )
    options = parser.parse_args()
    with Oracle() as oracle:
        outcome = run(oracle.ask, seed=options.seed, flows=options.flows)
        for mismatch in outcome.mismatches:
            lines = minimal(mismatch, oracle.ask)
            sys.stdout.write(f"{mismatch.fields}\n")
            sys.stdout.writelines(json.dumps(line) + "\n" for line in lines)
            if options.save:
                sys.stdout.write(f"{save(lines)} lines saved in {REGRESSIONS.name}\n")
    sys.stdout.write(f"seed {options.seed}: {outcome}\n")
    return 1 if outcome.mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
