"""Which images to build and whether the serverless ingest is deployed, from the paths that changed.

A push says nothing of its files to a workflow, so they are asked of Git between the two commits; a run by hand, and
the first push of a branch, have no commit before and build everything.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import history

NO_COMMIT = "0" * 40  # what GitHub calls the commit before a branch's first
INGEST = "ingest"
# What each image copies or installs; a path that begins with one of these changes it. A test compares the Dockerfiles.
SOURCES = {
    "services": ("images/app/", "app/", "trainer/__init__.py", "trainer/contract/", "requirements/ingest.txt"),
    "trainer": ("images/trainer/", "trainer/", "requirements/trainer.txt"),
    "trainerray": ("images/trainer-ray/", "trainer/", "requirements/trainer-ray.txt"),
    "modelserver": ("images/serving/", "app/", "trainer/", "requirements/serving.txt"),
    "promoter": (
        "images/promoter/",
        "app/",
        "generators/",
        "tenon/",
        "trainer/__init__.py",
        "trainer/contract/",
        "trainer/recipes/",
        "requirements/promoter.txt",
    ),
}
FUNCTION = ("app/", "trainer/__init__.py", "trainer/contract/", "requirements/ingest.txt", "vercel.json")
_TEST = re.compile(r"(^|/)tests/")


def images(paths: Iterable[str]) -> list[str]:
    """Roles of images.lock whose image the changed paths are part of."""
    changed = list(paths)
    return [role for role, sources in SOURCES.items() if _touches(changed, sources)]


def deploys_ingest(paths: Iterable[str]) -> bool:
    """Whether the serverless function is another one now."""
    return _touches(list(paths), FUNCTION)


def changed_paths(repository: Path, base: str, head: str) -> list[str] | None:
    """Paths that differ between two commits; None when there is no commit before. Raises NoAnswerError."""
    if not base or base == NO_COMMIT:
        return None
    return history.changed_paths(repository, base, head)


def _touches(paths: list[str], sources: tuple[str, ...]) -> bool:
    return any(path.startswith(sources) and not _TEST.search(path) for path in paths)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="", help="commit before; empty: everything is built")
    parser.add_argument("--head", default="HEAD")
    options = parser.parse_args()
    try:
        paths = changed_paths(Path(), options.base, options.head)
    except history.NoAnswerError as error:
        sys.stderr.write(f"plan: {error}\n")
        return 2
    plan = list(SOURCES) if paths is None else images(paths)
    function = paths is None or deploys_ingest(paths)
    sys.stdout.write(f"images={json.dumps(plan)}\n{INGEST}={json.dumps(function)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
