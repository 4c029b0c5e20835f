"""How many wrong policies the judge notices: `make mutants`.

Every mutant of the rendered tree is put to Cilium's engine; one that changes no answer of the fixed probes is
equivalent, every other must break an invariant or liveness. What the judge does not notice, and why that is right or
wrong, is written to policy-tests/vectors/unnoticed-mutants.txt. Exit code 1 below the wanted score, 3 where the engine
cannot be built.
"""

import argparse
import multiprocessing
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from controlplane.binaries import MissingToolError, built
from controlplane.oracle import Oracle
from isolation.classes.cluster import cluster_of
from isolation.classes.inventory import Inventory
from isolation.classes.pod_classes import tenants_of
from isolation.manifests.refusals import Refused
from isolation.manifests.tree import Document, Tree, read_tree
from isolation.objects.groups import GROUPS
from isolation.proof import INVARIANTS
from rich.console import Console
from rich.progress import Progress

from mutation.mutant import Mutant
from mutation.operators import mutants, other_tenant, tenant_of
from mutation.probes import Probes

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "policy-tests" / "vectors" / "unnoticed-mutants.txt"
WANTED = 0.95
KILLED, EQUIVALENT, SURVIVED = "killed", "equivalent", "survived"
_SEED = 20

# Those that notice most for the least come first; a mutant that one of them notices needs no other.
_FIRST = ("accepted", "trusted", "unambiguous", "server-names", "one-list", "default-deny", "closed", "names", "alive")

_worker: dict[str, "Judge"] = {}  # of a worker's process, which has one


class Judge:
    """One tree with its mutants and one engine that holds its world."""

    def __init__(self, tree: Tree, oracle: Oracle) -> None:
        self.tree = tree
        self.mutants = list(mutants(tree))
        self.probes = Probes(cluster_of(tree), oracle)
        self.probes.load()
        self.tenants = tenants_of(tree)
        self._parts: dict[tuple[str, ...], Tree] = {}

    def outcome(self, number: int) -> str:
        mutant = self.mutants[number]
        if not self.probes.changes(mutant):
            return EQUIVALENT
        part = self._part(mutant.document)
        if is_noticed(mutant.tree(part)) or is_noticed(mutant.tree(self.tree)):
            return KILLED
        return SURVIVED if self.probes.changes_afresh(mutant) else EQUIVALENT

    def _part(self, document: Document) -> Tree:
        """Platform, the object's own tenant and one other, which take less time: what breaks among them breaks the
        whole tree, because no other tenant changes a verdict among them."""
        own = tenant_of(document)
        chosen = tuple(sorted({own or self.tenants[1], other_tenant(self.tenants, document)}))
        if chosen not in self._parts:
            gone = set(self.tenants) - set(chosen)
            left = Tree(tuple(each for each in self.tree.documents if tenant_of(each) not in gone))
            if is_noticed(left):
                raise ValueError(f"{', '.join(chosen)}: not proved by themselves, so every mutant would be noticed")
            self._parts[chosen] = left
        return self._parts[chosen]


def is_noticed(tree: Tree) -> bool:
    """Whether the proof refuses the tree or breaks; it ends at the first fault."""
    try:
        cluster = cluster_of(tree)
        if any(not ask(cluster).holds for ask in sorted(INVARIANTS, key=_rank)):
            return True
        inventory = Inventory(tree, cluster.profile, cluster.classes.tenants)
        return any(not ask(inventory).holds for group in GROUPS.values() for ask in group)
    except Refused:
        return True


def _rank(ask: Callable[..., object]) -> int:
    name = ask.__name__.replace("_", "-")
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)


def sample_tree() -> Tree:
    (folder,) = (path for path in (ROOT / "rendered").iterdir() if path.is_dir())
    return read_tree(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=int, default=1, metavar="N", help="one of N mutants only, and no record")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="(default: one per core)")
    options = parser.parse_args()
    try:
        built("oracle")
    except MissingToolError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    tree = sample_tree()
    made = list(mutants(tree))
    numbers = random.Random(_SEED).sample(range(len(made)), len(made) // options.share)
    outcomes = dict(_outcomes(numbers, options.processes))
    found = {made[number].key: outcome for number, outcome in outcomes.items()}
    if options.share == 1:
        record(found)
    return _report(tree, made, found)


def _outcomes(numbers: list[int], processes: int) -> Iterator[tuple[int, str]]:
    with (
        multiprocessing.get_context("spawn").Pool(processes, _start) as pool,
        Progress(console=Console(stderr=True)) as progress,
    ):
        yield from progress.track(pool.imap_unordered(_judge, numbers, 8), total=len(numbers), description="mutants")


def _start() -> None:
    """A worker reads the tree and starts an engine of its own, which ends with the worker's pipe."""
    _worker["judge"] = Judge(sample_tree(), Oracle().__enter__())


def _judge(number: int) -> tuple[int, str]:
    return number, _worker["judge"].outcome(number)


def record(found: dict[str, str]) -> None:
    """What the judge does not notice, one line each."""
    lines = sorted(f"{outcome} {key}" for key, outcome in found.items() if outcome != KILLED)
    RECORD.write_text("\n".join(lines) + "\n", encoding="utf-8")


def recorded() -> dict[str, str]:
    """Mutant -> why it need not be noticed."""
    lines = RECORD.read_text(encoding="utf-8").splitlines()
    return {key: outcome for outcome, _, key in (line.partition(" ") for line in lines)}


def _report(tree: Tree, made: Iterable[Mutant], found: dict[str, str]) -> int:
    count = Counter(found.values())
    different = count[KILLED] + count[SURVIVED]
    score = count[KILLED] / different if different else 0.0
    with Oracle() as oracle:
        size = Probes(cluster_of(tree), oracle).size
    say(f"{len(found)} of {len(list(made))} mutants, {size:,} probes each could change")
    say(f"killed {count[KILLED]}, survived {count[SURVIVED]}, equivalent by the engine {count[EQUIVALENT]}")
    for key in sorted(key for key, outcome in found.items() if outcome == SURVIVED):
        say(f"  survived: {key}")
    say(f"{score:.2%} of those that differ are noticed; {WANTED:.0%} are wanted")
    return 0 if score >= WANTED else 1


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
