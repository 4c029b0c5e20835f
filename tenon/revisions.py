"""Rendered trees to compare: of a folder, or of a Git revision, without a checkout and without the network."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tenon.output import CommandError

RENDERED = "rendered"
_ATTEMPTS = "a git revision of this repository, or a folder that holds rendered/ or its clusters"


@contextmanager
def rendered_at(root: Path, word: str) -> Iterator[Path]:
    """The folder of clusters that `word` means, there until the context ends. Raises CommandError."""
    if word.startswith("-"):
        raise CommandError(f"{word!r}: begins with a dash; name {_ATTEMPTS}")
    if (folder := Path(word)).is_dir():
        yield _clusters(folder)
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield _checked_out(root, word, Path(scratch))


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below the folder by its relative path. Raises CommandError."""
    found = {}
    try:
        for parent, folders, names in os.walk(folder):
            folders.sort()
            inside = Path(parent).relative_to(folder)
            found.update({(inside / name).as_posix(): (Path(parent) / name).read_bytes() for name in names})
    except OSError as error:
        raise CommandError(f"{error.filename}: cannot be read ({error.strerror}); mend it and try again") from None
    return found


def _clusters(folder: Path) -> Path:
    if (folder / RENDERED).is_dir():
        return folder / RENDERED
    if any((cluster / "tenants").is_dir() for cluster in folder.iterdir()):
        return folder
    raise CommandError(f"{folder}: holds no rendered tree; name {_ATTEMPTS}")


def _checked_out(root: Path, revision: str, scratch: Path) -> Path:
    """The revision's rendered/ in a folder of its own, by an index of its own: the repository's stays as it is."""
    tree = f"{revision}^{{tree}}"
    if _git(root, scratch, "rev-parse", "--verify", "--quiet", "--end-of-options", tree).returncode:
        raise CommandError(f"{revision!r}: is no folder and no revision of {root}; name {_ATTEMPTS}")
    commit = _git(root, scratch, "rev-parse", "--verify", "--end-of-options", tree).stdout.strip()
    place = scratch / "tree" / RENDERED
    place.mkdir(parents=True)
    inside = _git(root, scratch, "rev-parse", "--show-prefix").stdout.strip()
    subtree = f"{commit}:{inside}{RENDERED}"
    if not _git(root, scratch, "rev-parse", "--verify", "--quiet", subtree).returncode:
        for command in (("read-tree", subtree), ("checkout-index", "--all", f"--prefix={place}/")):
            if (done := _git(root, scratch, *command)).returncode:
                raise CommandError(f"{revision!r}: cannot be read: {done.stderr.strip()}; mend the repository")
    return place


def _git(root: Path, scratch: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "GIT_INDEX_FILE": str(scratch / "index"), "LC_ALL": "C"}
    try:
        return subprocess.run(
            ["git", "-C", str(root), *words], check=False, capture_output=True, text=True, env=environment
        )
    except FileNotFoundError:
        raise CommandError("git: is not installed; install it, or name two folders") from None
