"""Apache Kafka itself, from Maven Central: its jars once per machine, named by the hash of what asks for them.

`python -m controlplane.kafka` fetches what is missing; afterwards nothing goes over the network.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from controlplane.binaries import TOOLS_FOLDER, MissingToolError, alone, cache_folder

PROJECT = TOOLS_FOLDER / "kafka" / "pom.xml"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
FETCH_SECONDS = 300


def jars() -> Path:
    """The folder of the jars, filled now if this machine has not yet. Raises MissingToolError."""
    digest = hashlib.sha256(PROJECT.read_bytes() + COPY.encode()).hexdigest()[:16]
    folder = cache_folder("kafka") / digest
    if folder.exists():
        return folder
    with alone(folder.with_suffix(".lock")):
        if not folder.exists():
            _fetch(folder)
    return folder


def java() -> str:
    """Raises MissingToolError."""
    if (found := shutil.which("java")) is None:
        raise MissingToolError("java is not on PATH, and Apache Kafka needs it; install Java 17 or newer")
    return found


def class_path(folder: Path) -> str:
    """In one order, because an archive of classes is good for the very path it was made with."""
    return ":".join(str(jar) for jar in sorted(folder.glob("*.jar")))


def _fetch(folder: Path) -> None:
    if (maven := shutil.which("mvn")) is None:
        raise MissingToolError(
            "Apache Kafka is not fetched and mvn is not on PATH; install Maven, then `make get-kafka`"
        )
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    command = [maven, "-q", "-B", "-f", str(PROJECT), COPY, f"-DoutputDirectory={partial}"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
    if made.returncode:
        raise MissingToolError(f"Apache Kafka: `{' '.join(command)}` failed: {made.stdout.strip()}")
    partial.replace(folder)


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{jars()}\n")
    except MissingToolError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(3)
