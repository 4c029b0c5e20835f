"""The demo's scratch folder: a clone of this repository with one tenant more."""

import shutil
import subprocess
import sys
from pathlib import Path

from tenon.output import CommandError, ExitCode, say

TENANT, MODEL, BASE = "demo", "support", "smollm2-135m"
_MARK = ".tenon-demo"  # says that a folder is the demo's own and may be removed
_FINISHED = "finished"


def prepared_home(home: Path) -> Path:
    """The scratch folder: kept when an interrupted run left it, new otherwise.

    Raises CommandError when it is a folder of somebody else's.
    """
    try:
        if (home / _FINISHED).exists() and (home / _MARK).exists():
            shutil.rmtree(home)
        if home.is_dir() and any(home.iterdir()) and not (home / _MARK).exists():
            raise CommandError(f"{home}: is not empty and not of this command; give an empty --home")
        home.mkdir(parents=True, exist_ok=True)
        if (home / _MARK).exists():
            say(f"going on with the run that was interrupted ({home}; remove it to start over)")
        (home / _MARK).touch()
    except OSError as error:
        raise CommandError(f"{home}: {error.strerror}; give a --home that can be written and has room") from None
    return home


def clone_repository(root: Path, clone: Path) -> None:
    """A scratch clone of this repository: what is committed is what counts."""
    if (clone / ".git" / "tenon-cloned").exists():
        return
    shutil.rmtree(clone, ignore_errors=True)
    say("cloning this repository ...")
    if not (root / ".git").exists():
        raise CommandError(f"{root}: is no Git repository; run it in a clone of Tenon, or name one with --root")
    output("git", "clone", "--quiet", "--no-hardlinks", str(root.resolve()), str(clone))
    (clone / ".git" / "tenon-cloned").touch()  # a clone that was interrupted lacks it


def add_tenant(clone: Path) -> None:
    """Tenant and model record from `tenon new`, rendered and committed."""
    if not (clone / "tenants" / f"{TENANT}.yaml").exists():
        tenon("new", TENANT, "--model", MODEL, "--base", BASE, "--root", str(clone))
    tenon("render", "--root", str(clone))
    git(clone, "add", "--all", "tenants", "rendered")
    if git(clone, "status", "--porcelain", "--", "tenants", "rendered").strip():
        git(clone, "commit", "--quiet", "--message", f"Add tenant {TENANT}")


def finish(home: Path) -> None:
    """The run has come to its end, good or bad: the next one starts over."""
    (home / _FINISHED).touch()


def output(*command: str) -> str:
    """What a command prints. Raises CommandError with what it said, and its exit code, when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CommandError((done.stderr or done.stdout).strip(), ExitCode(min(max(done.returncode, 1), 3)))
    return done.stdout


def tenon(*words: str) -> str:
    return output(sys.executable, "-m", "tenon", *words)


def git(clone: Path, *words: str) -> str:
    from app.git.plain import AUTHOR

    return output("git", "-C", str(clone), *AUTHOR, *words)
