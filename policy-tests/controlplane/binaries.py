"""The programs that the real tiers run, built from pinned Go modules, each once per machine.

`python -m controlplane.binaries etcd kube-apiserver` builds what is missing; `built("etcd")` does so for one and
returns its file. A binary is named by a hash of its module's go.mod and go.sum, of our own sources where it has some,
and of its flags, and stands in the user's cache, which outlives a clone: two CI runs on one machine build once.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

OWN_FOLDER = Path(__file__).parents[1]
TOOLS_FOLDER = OWN_FOLDER / "tools"
BUILD_SECONDS = 3600  # kube-apiserver takes 10 minutes on 2 busy cores


class MissingToolError(Exception):
    """A program is neither built nor can it be built here; the text says how to get it."""


@dataclass(frozen=True)
class Tool:
    """One program: the folder with its go.mod, the package to build, how its version is stamped."""

    module: str
    package: str
    stamp: str = ""  # `-X` flags; {version}, {major}, {minor} are those of `release`
    release: str = ""  # the module whose version is stamped
    below: Path = TOOLS_FOLDER

    @property
    def folder(self) -> Path:
        return self.below / self.module

    @property
    def sources(self) -> tuple[Path, ...]:
        """What a build depends on; beside the pins, the Go files of a program of our own."""
        return (self.folder / "go.mod", self.folder / "go.sum", *sorted(self.folder.glob("*.go")))

    @property
    def link_flags(self) -> str:
        """Stripped, and stamped: unstamped servers call themselves v0.0.0, which clients parse."""
        if not self.stamp:
            return "-s -w"
        version = required_version(self.module, self.release)
        major, minor, _ = version.removeprefix("v").split(".")
        return "-s -w " + self.stamp.format(version=version, major=major, minor=minor)


_KUBE_VERSION = "k8s.io/component-base/version"
_KUBE = {
    "release": "k8s.io/kubernetes",
    "stamp": f"-X {_KUBE_VERSION}.gitVersion={{version}} -X {_KUBE_VERSION}.gitMajor={{major}} "
    f"-X {_KUBE_VERSION}.gitMinor={{minor}} -X {_KUBE_VERSION}.gitTreeState=clean",
}
_ARGOCD = "github.com/argoproj/argo-cd/v3"

TOOLS = {
    "etcd": Tool("etcd", "go.etcd.io/etcd/server/v3"),
    "kube-apiserver": Tool("kube", "k8s.io/kubernetes/cmd/kube-apiserver", **_KUBE),
    "kube-controller-manager": Tool("kube", "k8s.io/kubernetes/cmd/kube-controller-manager", **_KUBE),
    "kube-scheduler": Tool("kube", "k8s.io/kubernetes/cmd/kube-scheduler", **_KUBE),
    "workflow-controller": Tool("argo-workflows", "github.com/argoproj/argo-workflows/v4/cmd/workflow-controller"),
    "rollouts-controller": Tool("rollouts", "github.com/argoproj/argo-rollouts/cmd/rollouts-controller"),
    "argocd": Tool("argocd", f"{_ARGOCD}/cmd", f"-X {_ARGOCD}/common.version={{version}}", _ARGOCD),
    "actionlint": Tool("actionlint", "github.com/rhysd/actionlint/cmd/actionlint"),
    "kueue": Tool("kueue", "sigs.k8s.io/kueue/cmd/kueue"),
    "jobset": Tool("jobset", "sigs.k8s.io/jobset"),
    "oracle": Tool("oracle", ".", below=OWN_FOLDER),
}


def required_version(module: str, path: str, *, below: Path = TOOLS_FOLDER) -> str:
    """The version at which the module's go.mod requires `path`. Raises KeyError when it does not."""
    text = (below / module / "go.mod").read_text(encoding="utf-8")
    if (found := re.search(rf"^\s*(?:require )?{re.escape(path)} (v\S+)", text, re.MULTILINE)) is None:
        raise KeyError(f"{below.name}/{module}/go.mod requires no {path}")
    return found[1]


def cached(name: str) -> Path:
    """Where the program stands, or would stand, in the user's cache."""
    tool = TOOLS[name]
    digest = hashlib.sha256()
    for source in tool.sources:
        digest.update(source.read_bytes())
    digest.update(f"{tool.package} {tool.link_flags}".encode())
    return cache_folder("bin") / f"{name}-{digest.hexdigest()[:16]}"


def cache_folder(part: str) -> Path:
    """A folder of the user's cache, made if need be; what stands in it is named by what it was made from."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "tenon" / part
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def built(name: str) -> Path:
    """The program's file, built now if this machine has not yet. Raises MissingToolError."""
    file = cached(name)
    if file.exists():
        return file
    go = go_command(f"{name} is not built")
    with alone(file.with_suffix(".lock")):
        if not file.exists():
            _build(TOOLS[name], go, file)
    return file


def go_command(subject: str) -> str:
    """Raises MissingToolError where Go is not installed."""
    if (go := shutil.which("go")) is None:
        raise MissingToolError(f"{subject} and Go is not on PATH; install Go 1.26.8 or newer, then `make get-tools`")
    return go


def go_environment() -> dict[str, str]:
    """GOTOOLCHAIN=local: the installed Go or none. CGO_ENABLED=0: static files that no system library changes."""
    return {**os.environ, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}


def _build(tool: Tool, go: str, file: Path) -> None:
    partial = file.with_suffix(f".{os.getpid()}")
    command = [
        go,
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-ldflags",
        tool.link_flags,
        "-o",
        str(partial),
        tool.package,
    ]
    try:
        subprocess.run(
            command, cwd=tool.folder, env=go_environment(), check=True, timeout=BUILD_SECONDS, capture_output=True
        )
        partial.replace(file)
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip()
        raise MissingToolError(f"{tool.package}: go build failed in {tool.folder}: {reason}") from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """One maker of a file at a time; the lock ends with the process."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def main(names: list[str]) -> int:
    """Build the named programs, all without names. 2 for an unknown name, 3 when one cannot be had."""
    if unknown := [name for name in names if name not in TOOLS]:
        sys.stderr.write(f"{', '.join(unknown)}: no such program; known are {', '.join(TOOLS)}\n")
        return 2
    try:
        for name in names or TOOLS:
            sys.stdout.write(f"{built(name)}\n")
    except MissingToolError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
