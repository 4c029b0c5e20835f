"""A Git repository on this machine, driven by the `git` command."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

# Nothing of the user's may change what is written: no hooks, no signing prompt, no pager.
_GIT = ("git", "-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false", "--no-pager")
AUTHOR = ("-c", "user.name=Tenon Promoter", "-c", "user.email=promoter@tenon.invalid")


class RepositoryError(Exception):
    """The repository refuses; the text says what git said and the remedy."""


class PlainRepository:
    """One work tree. Commits go to the branch that is checked out."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def require_clean(self, paths: Sequence[str]) -> None:
        """Raises RepositoryError when a path has changes that are not committed: they would ride along."""
        if changed := self._run("status", "--porcelain", "--", *paths).strip():
            names = ", ".join(line.strip() for line in changed.splitlines()[:5])
            raise RepositoryError(f"{self.root}: {names}: changed but not committed; commit or discard first")

    def commit(self, paths: Sequence[str], message: str, trailers: Mapping[str, str]) -> str | None:
        """Commit what changed below the paths; its id, or None when nothing did."""
        self._run("add", "--all", "--", *paths)
        if not self._run("status", "--porcelain", "--", *paths).strip():
            return None
        text = "\n".join([message, "", *(f"{key}: {value}" for key, value in trailers.items())])
        self._run(*AUTHOR, "commit", "--quiet", "--message", text, "--", *paths)
        return self.head()

    def head(self) -> str:
        return self._run("rev-parse", "HEAD").strip()

    def changes(self, base: str) -> list[str]:
        """`A|M|D<TAB>path` of each file that differs between a commit and the branch."""
        return self._run("diff", "--name-status", "--no-renames", base, "HEAD").splitlines()

    def patch(self, base: str, paths: Sequence[str]) -> str:
        """Unified diff of the paths between a commit and the branch."""
        return self._run("diff", "--no-renames", "--unified=1", base, "HEAD", "--", *paths)

    def _run(self, *arguments: str) -> str:
        command = [*_GIT, *arguments]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise RepositoryError(f"{self.root}: git {arguments[0]}: {said}; is it a Git repository with a commit?")
        return done.stdout
