"""Fails when a change of one tenant's inputs changes more of rendered/ than that tenant's folders.

A change of anything else that rendering reads (platform.yaml, generators/, ...) may change every folder; it has other
reviewers. A text beside them, say in docs/ or a stray file in tenants/, excuses nothing. Paths are read from Git: run
it over the two commits of a pull request.
"""

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from history import NoAnswerError, changed_paths, fork

# What rendering reads beside tenants/; a change of it may change every folder.
SHARED_FILES = frozenset({"platform.yaml", "images.lock", "charts.lock"})
SHARED_FOLDERS = ("generators/", "trainer/recipes/", "trainer/contract/", "app/contract/")
_INPUT = re.compile(r"tenants/(?!schema/)([^/]+?)(?:\.yaml|/models/.+)")
_OUTPUT = re.compile(r"rendered/[^/]+/tenants/([^/]+)/.+")


def outside(paths: Iterable[str]) -> list[str]:
    """Rendered paths that the changed tenants do not account for. Empty when what all tenants share changes too."""
    changed = list(paths)
    if any(path in SHARED_FILES or path.startswith(SHARED_FOLDERS) for path in changed):
        return []
    tenants = {match[1] for path in changed if (match := _INPUT.fullmatch(path))}
    rendered = [path for path in changed if path.startswith("rendered/")]
    return [path for path in rendered if not ((match := _OUTPUT.fullmatch(path)) and match[1] in tenants)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True)
    parser.add_argument("--head", required=True)
    options = parser.parse_args()
    here = Path()
    try:
        found = outside(changed_paths(here, fork(here, options.base, options.head), options.head))
    except NoAnswerError as error:
        sys.stderr.write(f"blast_radius: {error}\n")
        return 2
    for path in found:
        sys.stderr.write(f"{path}: is of no tenant whose file this change touches; run `tenon render` on main's tip\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
