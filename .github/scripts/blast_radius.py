"""Fails when a change of one tenant's inputs changes more of rendered/ than that tenant's folders.

A change that touches anything else of the repository (platform.yaml, generators/, ...) may change every folder; it has
other reviewers. Paths are read from Git: run it over the two commits of a pull request.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

_INPUT = re.compile(r"tenants/(?!schema/)([^/]+?)(?:\.yaml|/models/.+)")
_OUTPUT = re.compile(r"rendered/[^/]+/tenants/([^/]+)/.+")


def outside(paths: Iterable[str]) -> list[str]:
    """Rendered paths that the changed tenants do not account for. Empty when the change is not of tenants alone."""
    changed = list(paths)
    inputs = [path for path in changed if not path.startswith("rendered/")]
    tenants = {match[1] for path in inputs if (match := _INPUT.fullmatch(path))}
    if any(not _INPUT.fullmatch(path) for path in inputs):
        return []
    rendered = [path for path in changed if path.startswith("rendered/")]
    return [path for path in rendered if not ((match := _OUTPUT.fullmatch(path)) and match[1] in tenants)]


def changed_paths(repository: Path, base: str, head: str) -> list[str]:
    """Paths that differ between the common ancestor and the head; a rename counts as both of its names."""
    answer = subprocess.run(
        ["git", "-C", str(repository), "diff", "--name-only", "--no-renames", "-z", f"{base}...{head}"],
        check=True,
        capture_output=True,
        text=True,
    )
    return [path for path in answer.stdout.split("\0") if path]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True)
    parser.add_argument("--head", required=True)
    options = parser.parse_args()
    found = outside(changed_paths(Path(), options.base, options.head))
    for path in found:
        sys.stderr.write(f"{path}: is of no tenant whose file this change touches; run `tenon render` on main's tip\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
