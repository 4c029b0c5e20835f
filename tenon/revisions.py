"""Rendered trees to compare: of a folder, or of a Git revision, without a checkout and without the network."""

import os
import stat
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
    if not word:
        raise CommandError(f"'': is empty; name {_ATTEMPTS}")
    if word.startswith("-"):
        raise CommandError(f"{word!r}: begins with a dash; name {_ATTEMPTS}")
    if (folder := Path(word)).is_dir():
        yield _clusters(folder)
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield _checked_out(root, word, Path(scratch))


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below the folder by its relative path. Raises CommandError, also for links: each side is its own."""
    found = {}
    try:
        for parent, folders, names in os.walk(folder, onerror=_raise):
            folders.sort()
            for path in (Path(parent) / name for name in (*folders, *names)):
                mode = path.lstat().st_mode
                if stat.S_ISREG(mode):
                    found[path.relative_to(folder).as_posix()] = path.read_bytes()
                elif not stat.S_ISDIR(mode):
                    raise CommandError(f"{path}: is a link or a device; a rendered tree holds folders and files only")
    except OSError as error:
        raise CommandError(f"{error.filename}: cannot be read ({error.strerror}); mend it and try again") from None
    return found


def _raise(error: OSError) -> None:
    """os.walk goes on without a folder that it cannot list, unless it is told not to."""
    raise error


def _clusters(folder: Path) -> Path:
    try:
        if (folder / RENDERED).is_dir():
            return folder / RENDERED
        if any((cluster / "tenants").is_dir() for cluster in folder.iterdir()):
            return folder
    except OSError as error:
        raise CommandError(f"{error.filename}: cannot be read ({error.strerror}); mend it and try again") from None
    raise CommandError(f"{folder}: holds no rendered tree; name {_ATTEMPTS}")


def _checked_out(root: Path, revision: str, scratch: Path) -> Path:
    """The revision's rendered/ in a folder of its own, by an index of its own: the repository's stays as it is."""
    tree = f"{revision}^{{tree}}"
    if _git(root, scratch, "rev-parse", "--verify", "--quiet", "--end-of-options", tree).returncode:
        raise CommandError(f"{revision!r}: is no folder and no revision of {root}; name {_ATTEMPTS}")
    commit = _git(root, scratch, "rev-parse", "--verify", "--end-of-options", tree).stdout.strip()
    place = scratch / "tree" / RENDERED
    place.mkdir(parents=True)
    inside = _git(root, scratch, "rev-parse", "--show-prefix").stdout.removesuffix("\n")
    top = Path(_git(root, scratch, "rev-parse", "--show-toplevel").stdout.removesuffix("\n") or root)
    subtree = f"{commit}:{inside}{RENDERED}"
    if not _git(root, scratch, "rev-parse", "--verify", "--quiet", subtree).returncode:
        for command in (("read-tree", subtree), ("checkout-index", "--all", f"--prefix={place}/")):
            # from the top: in a folder below, checkout-index writes only what the index has below that folder
            if (done := _git(top, scratch, *command)).returncode:
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
