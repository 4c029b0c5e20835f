"""Debian's redis-server, for Argo CD's caches: the installed one, or its packages unpacked in the user's cache."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from controlplane.binaries import MissingToolError

PACKAGES = ("redis-server", "redis-tools", "libjemalloc2", "liblua5.1-0", "liblzf1")
FETCH_SECONDS = 120


@dataclass(frozen=True)
class Redis:
    """A program and the environment it needs."""

    command: str
    environment: dict[str, str] = field(default_factory=dict)


def redis_server() -> Redis:
    """Raises MissingToolError where there is neither the program nor a Debian to get its packages from."""
    if found := shutil.which("redis-server"):
        return Redis(found, dict(os.environ))
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tenon" / "redis"
    program = folder / "usr" / "bin" / "redis-server"
    if not program.exists():
        _unpack(folder)
    libraries = ":".join(str(path) for path in sorted((folder / "usr" / "lib").iterdir()))
    return Redis(str(program), {**os.environ, "LD_LIBRARY_PATH": libraries})


def _unpack(folder: Path) -> None:
    """apt checks the packages' signatures; nothing is installed."""
    if not (apt := shutil.which("apt-get")) or not (dpkg := shutil.which("dpkg-deb")):
        raise MissingToolError("redis-server is not on PATH; install the package redis-server")
    partial = folder.with_suffix(f".{os.getpid()}")
    (partial / "packages").mkdir(parents=True)
    try:
        try:
            _run([apt, "download", *PACKAGES], partial / "packages")
        except MissingToolError:  # a fresh machine knows no package until it has asked for the lists
            _run([apt, "update"], partial)
            _run([apt, "download", *PACKAGES], partial / "packages")
        for package in sorted((partial / "packages").iterdir()):
            _run([dpkg, "-x", str(package), str(partial)], partial)
        shutil.rmtree(partial / "packages")
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _run(command: list[str], folder: Path) -> None:
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
    if made.returncode:
        raise MissingToolError(
            f"redis-server: `{' '.join(command)}` failed: {made.stderr.strip()}; run `apt-get update` as root"
        )


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{redis_server().command}\n")
    except MissingToolError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(3)
