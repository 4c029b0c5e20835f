"""Rendering beside `kubectl kustomize build` over the same objects, alternating: `make bench`.

Both end with every object of every tenant as YAML. Figures are medians of the rounds, per object.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from generators.rendering import render


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=50, help="tenants, copies of the samples (default 50)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (default 3)")
    options = parser.parse_args()
    root = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        copy_inputs(root, folder, options.tenants)
        render(folder).write(folder)
        files = kustomization(folder)
        rivals: dict[str, Callable[[], object]] = {"tenon render": lambda: render(folder)}
        if kubectl := shutil.which("kubectl"):
            rivals["kubectl kustomize"] = lambda: kustomize(kubectl, folder)
        report({name: [] for name in rivals}, rivals, rounds=options.rounds, objects=files)
    return 0


def copy_inputs(root: Path, folder: Path, tenants: int) -> None:
    """platform.yaml with room for all, and copies of the sample tenants, each with an OIDC group of its own."""
    platform = (root / "platform.yaml").read_text()
    for capacity in ("capacity: 8,", "capacity: 16,"):
        platform = platform.replace(capacity, "capacity: 1000000,")
    (folder / "platform.yaml").write_text(platform)
    shutil.copy(root / "images.lock", folder / "images.lock")
    samples = sorted((root / "tenants").glob("*.yaml"))
    for number in range(tenants):
        sample = samples[number % len(samples)]
        name = f"t{number:05d}"
        (folder / "tenants" / name / "models").mkdir(parents=True)
        text = sample.read_text().replace("value: ", f"value: {name}-")
        (folder / "tenants" / f"{name}.yaml").write_text(text)
        for record in (root / "tenants" / sample.stem / "models").glob("*.yaml"):
            shutil.copy(record, folder / "tenants" / name / "models")


def kustomization(folder: Path) -> int:
    """A kustomization.yaml over every rendered file; returns their number."""
    paths = sorted(path.relative_to(folder).as_posix() for path in (folder / "rendered").rglob("*.yaml"))
    (folder / "kustomization.yaml").write_text("resources:\n" + "".join(f"- {path}\n" for path in paths))
    return len(paths)


def kustomize(kubectl: str, folder: Path) -> object:
    command = [kubectl, "kustomize", str(folder)]
    return subprocess.run(command, check=True, capture_output=True)  # noqa: S603


def report(
    seconds: dict[str, list[float]], rivals: dict[str, Callable[[], object]], *, rounds: int, objects: int
) -> None:
    """Run the rivals in turn and print each one's median and spread."""
    for _ in range(rounds):
        for name, run in rivals.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    print(f"{objects} objects, {rounds} rounds, alternating")  # noqa: T201
    for name, taken in seconds.items():
        median = statistics.median(taken)
        spread = f"{min(taken):.2f}-{max(taken):.2f} s"
        print(f"{name:20} {median:6.2f} s ({spread})  {objects / median:8.0f} objects/s")  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
