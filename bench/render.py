"""Rendering 10, 100 and 1,000 tenants, and beside `kubectl kustomize build` over the same objects: `make bench`.

Each measured run is a process of its own, from its start to the last byte written. Rivals take turns.
"""

import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
EVERY = 0.2  # seconds between two looks at the memory


@dataclass(frozen=True)
class Run:
    """One process and its children. cpu: seconds of all cores; peak: bytes of all processes together (PSS)."""

    seconds: float
    cpu: float
    peak: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, nargs="*", default=[10, 100, 1000], help="sizes of the trees")
    parser.add_argument("--rival-tenants", type=int, default=50, help="size of the tree that both build (default 50)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each rival (default 3)")
    options = parser.parse_args()
    tell(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the first run")
    for tenants in options.tenants:
        with tempfile.TemporaryDirectory() as scratch:
            scale(Path(scratch), tenants)
    with tempfile.TemporaryDirectory() as scratch:
        beside_kustomize(Path(scratch), options.rival_tenants, rounds=options.rounds)
    return 0


def scale(folder: Path, tenants: int) -> None:
    """One line: everything from nothing, then one tenant after a change of its file."""
    copy_inputs(folder, tenants)
    whole = measure(tenon(folder))
    objects = count(folder)
    change(folder / "tenants" / "t00000.yaml")
    one = measure([*tenon(folder), "--only", "t00000"])
    each, size = whole.seconds / tenants * 1000, whole.peak / 2**20
    tell(
        f"{tenants:5} tenants {objects:7} objects {whole.seconds:7.2f} s {whole.cpu:7.2f} s CPU {each:6.1f} ms each"
        f" {size:6.0f} MiB  --only {one.seconds:.2f} s, {one.cpu:.2f} s CPU  load {os.getloadavg()[0]:.1f}"
    )


def beside_kustomize(folder: Path, tenants: int, *, rounds: int) -> None:
    """Medians of both over one tree, alternating; ours reads, renders and compares every file with what is there."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        tell("kubectl is not on PATH, so nothing is compared; install it")
        return
    copy_inputs(folder, tenants)
    measure(tenon(folder))
    objects = kustomization(folder)
    version = subprocess.run([kubectl, "version", "--client"], check=True, capture_output=True, text=True)  # noqa: S603
    tell(f"{objects} objects of {tenants} tenants, {rounds} rounds; {', '.join(version.stdout.split(chr(10)))}")
    rivals = {"tenon render": tenon(folder), "kubectl kustomize": [kubectl, "kustomize", str(folder)]}
    found: dict[str, list[Run]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, command in rivals.items():
            found[name].append(measure(command))
    for name, runs in found.items():
        seconds = [run.seconds for run in runs]
        median, cpu = statistics.median(seconds), statistics.median(run.cpu for run in runs)
        spread = f"{min(seconds):.2f}-{max(seconds):.2f} s"
        tell(f"{name:20} {median:7.2f} s ({spread}) {cpu:7.2f} s CPU {objects / median:8.0f} objects/s")
    ours, theirs = (statistics.median(run.seconds for run in runs) for runs in found.values())
    tell(f"{theirs / ours:.1f} times as fast per object; load {os.getloadavg()[0]:.1f}")


def tenon(folder: Path) -> list[str]:
    return [sys.executable, "-m", "tenon", "render", "--root", str(folder)]


def copy_inputs(folder: Path, tenants: int) -> None:
    """platform.yaml with room for all, and copies of the sample tenants, each with an OIDC group of its own."""
    platform = re.sub(r"capacity: \d+,", "capacity: 1000000,", (ROOT / "platform.yaml").read_text())
    (folder / "platform.yaml").write_text(platform)
    for lock in ("images.lock", "charts.lock"):
        shutil.copy(ROOT / lock, folder / lock)
    samples = sorted((ROOT / "tenants").glob("*.yaml"))
    for number in range(tenants):
        sample = samples[number % len(samples)]
        name = f"t{number:05d}"
        (folder / "tenants" / name / "models").mkdir(parents=True)
        text = sample.read_text().replace("value: ", f"value: {name}-")
        (folder / "tenants" / f"{name}.yaml").write_text(text)
        for record in (ROOT / "tenants" / sample.stem / "models").glob("*.yaml"):
            shutil.copy(record, folder / "tenants" / name / "models")


def change(tenant: Path) -> None:
    """One more GPU to borrow."""
    text = tenant.read_text()
    tenant.write_text(text.replace("borrow: 2", "borrow: 3"))


def count(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder / "rendered"))


def kustomization(folder: Path) -> int:
    """A kustomization.yaml over every rendered file; returns their number."""
    paths = sorted(path.relative_to(folder).as_posix() for path in (folder / "rendered").rglob("*.yaml"))
    (folder / "kustomization.yaml").write_text("resources:\n" + "".join(f"- {path}\n" for path in paths))
    return len(paths)


def measure(command: list[str]) -> Run:
    """Run to the end. Raises CalledProcessError when it fails."""
    before, started, peak = _cpu(), time.perf_counter(), 0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, cwd=ROOT)  # noqa: S603
        while process.poll() is None:
            try:
                process.wait(EVERY)
            except subprocess.TimeoutExpired:
                peak = max(peak, sum(_memory(pid) for pid in _family(process.pid)))
        seconds = time.perf_counter() - started
        if process.returncode:
            said.seek(0)
            raise subprocess.CalledProcessError(process.returncode, command, said.read())
    return Run(seconds, _cpu() - before, peak)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _family(pid: int) -> list[int]:
    """The process and all below it, as the kernel lists them (Linux)."""
    try:
        children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [pid, *(each for child in children for each in _family(child))]


def _memory(pid: int) -> int:
    """Proportional set size: pages that several processes share count once in the sum."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0  # it has just ended
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def tell(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
