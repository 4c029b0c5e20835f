"""Recorded answers of Cilium's engine, so that our evaluator is held to them where no Go is.

`python -m differential.vectors` asks the engine again and rewrites policy-tests/vectors/engine.jsonl: a line of type
`engine`, then worlds and flows in the case format (cases/README.md) with the engine's answers in `expect*` fields.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from differential.expected import expected, is_refused
from differential.generate import CATALOGUE, Generated, generate

Line = dict[str, Any]
Engine = Callable[[Sequence[Line]], Sequence[Line]]

VECTORS = Path(__file__).parents[1] / "vectors" / "engine.jsonl"
WORLDS = 180
FLOWS = 17  # recorded of each world, out of ASKED; those that differ from one another first
ASKED = 120
_IMPLIED = {"expect_l7": ""}  # what a flow line leaves out


def record(engine: Engine) -> Iterator[Line]:
    """The lines of the file."""
    seen: Counter[str] = Counter()
    made = [world for seed in range(10 * WORLDS) if (world := generate(seed, flows=ASKED))]
    chosen = _chosen(made, seen)
    answered = [(world, engine(world.lines)) for world in chosen]
    version = answered[0][1][0]["engine"]
    yield {"type": "engine", "engine": version, "worlds": len(chosen), "shapes": sorted(seen)}
    for world, answers in answered:
        yield from _recorded(world, answers)


def mismatches(lines: Sequence[Line], answers: Sequence[Line]) -> list[str]:
    """Recorded lines beside our answers to them: what differs, and where. A refusal is none."""
    found = []
    for line, answer in zip(lines, answers, strict=True):
        implied = {} if line.get("type") == "world" else _IMPLIED
        wanted = {key: value for key, value in (implied | line).items() if key.startswith("expect")}
        given = wanted if is_refused(answer) else expected(answer)
        wrong = [f"{key} {given.get(key)}, not {value}" for key, value in wanted.items() if given.get(key) != value]
        found += [f"{line['id']}: {', '.join(wrong)}"] if wrong else []
    return found


def _chosen(made: Sequence[Generated], seen: Counter[str]) -> list[Generated]:
    """Worlds with shapes that are still rare first, then the others in order; `seen` counts what was taken."""
    chosen = []
    for world in made:
        if any(shape not in seen for shape in world.drawn):
            seen.update(set(world.drawn))
            chosen.append(world)
    rest = (world for world in made if world not in chosen)
    chosen += [next(rest) for _ in range(WORLDS - len(chosen))]
    if missing := CATALOGUE - set(seen):
        raise ValueError(f"no world holds {', '.join(sorted(missing))}; draw more worlds")
    return chosen


def _recorded(made: Generated, answers: Sequence[Line]) -> Iterator[Line]:
    """The world with the peers that its recorded flows need, then these."""
    firsts: dict[str, tuple[Line, Line]] = {}
    for flow, answer in zip(made.flows, answers[1:], strict=True):
        kind = json.dumps([expected(answer), flow["port"], flow["protocol"]])
        firsts.setdefault(kind, (flow, expected(answer)))
    kept = sorted(firsts.values(), key=lambda each: -len(each[1]))[:FLOWS]
    peers = {name for flow, _ in kept for name in (flow["from"], flow["to"])}
    world = made.world | {"peers": {name: peer for name, peer in made.world["peers"].items() if name in peers}}
    yield world | expected(answers[0])
    for flow, wanted in kept:
        yield flow | {key: value for key, value in wanted.items() if _IMPLIED.get(key) != value}


def main() -> int:
    from controlplane.oracle import Oracle

    with Oracle() as oracle:
        lines = list(record(oracle.ask))
        again = oracle.ask(lines[1:])
    unequal = [line["id"] for line, answer in zip(lines[1:], again, strict=True) if _unequal(line, answer)]
    if unequal:
        sys.stderr.write(f"asked alone the engine answers otherwise: {', '.join(unequal)}\n")
        return 1
    VECTORS.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines), encoding="utf-8")
    sys.stdout.write(f"{VECTORS.name}: {len(lines)} lines, {VECTORS.stat().st_size} bytes\n")
    return 0


def _unequal(line: Line, answer: Line) -> bool:
    return any(expected(answer)[key] != value for key, value in line.items() if key.startswith("expect"))


if __name__ == "__main__":
    sys.exit(main())
