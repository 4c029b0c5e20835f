"""What Git says of two commits, for the scripts beside this file; no word given to one is ever an option to Git."""

import subprocess
from pathlib import Path


class NoAnswerError(Exception):
    """Git, GitHub or a file has no answer, which is no verdict; a script prints the one line and exits 2."""


def git(repository: Path, *words: str) -> str:
    """Its standard output; what is not UTF-8 is escaped. Raises NoAnswerError."""
    return answer("git", "-C", str(repository), *words, of=f"git {words[0]}")


def answer(*command: str, of: str) -> str:
    """Standard output of a program. Raises NoAnswerError when it fails or is not there."""
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, encoding="utf-8", errors="backslashreplace"
        )
    except OSError as error:
        raise NoAnswerError(f"{command[0]}: cannot be run ({error.strerror}); install it") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it says nothing"]
        raise NoAnswerError(f"{of}: fails with exit code {done.returncode} ({said[-1]})")
    return done.stdout


def commit(repository: Path, revision: str) -> str:
    """The full hash of a revision. Raises NoAnswerError."""
    try:
        found = git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except NoAnswerError:
        raise NoAnswerError(f"{revision!r}: is no commit of this repository; fetch it, or mend the word") from None
    return found.split()[-1]


def fork(repository: Path, base: str, head: str) -> str:
    """The newest commit that both have. Raises NoAnswerError."""
    return git(repository, "merge-base", commit(repository, base), commit(repository, head)).strip()


def changed_paths(repository: Path, base: str, head: str) -> list[str]:
    """Paths that differ between two commits; a rename counts as both of its names. Raises NoAnswerError."""
    ends = (commit(repository, base), commit(repository, head))
    return [path for path in git(repository, "diff", "--name-only", "--no-renames", "-z", *ends).split("\0") if path]
