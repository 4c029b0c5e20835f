"""Proving 3, 100, 300 and 1,000 tenants, and one tenant's change among as many: `make bench`.

Each measured run is `tenon prove` as a process of its own, from its start to its last line.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from bench.render import Run, copy_inputs, count, measure, tell, tenon


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, nargs="*", default=[3, 100, 300, 1000], help="sizes of the trees")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of one tenant's proof (default 5)")
    options = parser.parse_args()
    tell(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the first run")
    for tenants in options.tenants:
        with tempfile.TemporaryDirectory() as scratch:
            scale(Path(scratch), tenants, rounds=options.rounds)
    return 0


def scale(folder: Path, tenants: int, *, rounds: int) -> None:
    """Two lines: every invariant of every ordered pair; one tenant against everyone."""
    copy_inputs(folder, tenants)
    measure(tenon(folder))
    whole = measure(prove(folder))
    tell(
        f"{tenants:5} tenants {count(folder):7} objects  {shown(whole)}  {whole.seconds / tenants * 1000:6.1f} ms each"
    )
    runs = [measure(prove(folder, "--only", "t00000")) for _ in range(rounds)]
    median = sorted(runs, key=lambda run: run.seconds)[rounds // 2]
    spread = f"{min(run.seconds for run in runs):.2f}-{max(run.seconds for run in runs):.2f} s"
    cpu = statistics.median(run.cpu for run in runs)
    tell(f"{'':13} --only one  {median.seconds:7.2f} s ({spread}, {rounds} rounds)  {cpu:.2f} s CPU")


def shown(run: Run) -> str:
    return f"{run.seconds:7.2f} s {run.cpu:7.2f} s CPU {run.peak / 2**20:6.0f} MiB  load {os.getloadavg()[0]:.1f}"


def prove(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "tenon", "prove", "--root", str(folder), *options]


if __name__ == "__main__":
    sys.exit(main())
