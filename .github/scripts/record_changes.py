"""Fails when a pull request changes a model record in a way that promotion would not (app/jobs/record_changes.py)."""

import argparse
import sys
from pathlib import Path

import yaml
from history import NoAnswerError, commit, fork, git
from pydantic import ValidationError

from app.contract.models import ModelRecord
from app.jobs.record_changes import faults

RECORDS = "tenants/*/models/*.yaml"


def faults_between(repository: Path, base: str, head: str) -> list[str]:
    """One text per fault of every record that the head changes. Both sides are read as data, at their commits.

    Raises NoAnswerError when one of the two is no commit.
    """
    base, head = fork(repository, base, head), commit(repository, head)
    names = git(repository, "diff", "--name-status", "--no-renames", "-z", base, head, "--", RECORDS).split("\0")
    found = []
    for status, path in zip(names[::2], names[1::2], strict=False):
        if status == "D":
            continue
        try:
            after = _record(repository, head, path)
            before = None if status == "A" else _record(repository, base, path)
        except (ValidationError, yaml.YAMLError):
            continue  # `tenon render --check` reports what is no record, with its lines
        found += [f"{path}: {text}" for text in faults(before, after)]
    return found


def _record(repository: Path, commit: str, path: str) -> ModelRecord:
    return ModelRecord.model_validate(yaml.safe_load(git(repository, "show", f"{commit}:{path}")))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True)
    parser.add_argument("--head", required=True)
    options = parser.parse_args()
    try:
        found = faults_between(Path(), options.base, options.head)
    except NoAnswerError as error:
        sys.stderr.write(f"record_changes: {error}\n")
        return 2
    sys.stderr.writelines(f"{text}\n" for text in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
