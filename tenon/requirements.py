"""`python -m tenon.requirements`: every row of docs/requirements.md with its tests and their last result.

The rows come from the document, the tests from pytest's collection, the results from `.cache/requirements.json`, which
conftest.py writes on every run. Nothing here is kept by hand, so the state of the product is read off its tests.
"""

import argparse
import contextlib
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tenon.output import CommandError, ExitCode, answer_json, answer_table, say

DOCUMENT = Path("docs/requirements.md")
RESULTS = Path(".cache/requirements.json")
_ROW = re.compile(r"^- \*\*([A-EHN][0-9]+)\*\* (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Requirement:
    """A row: what is promised, and the last outcome of each test that shows it (None: never run here)."""

    row: str
    promise: str
    tests: Mapping[str, str | None]

    @property
    def state(self) -> str:
        """`no test`, else the worst of its tests."""
        outcomes = set(self.tests.values())
        if not outcomes:
            return "no test"
        return "failed" if "failed" in outcomes else "not run" if None in outcomes else "passed"


def promises(text: str) -> dict[str, str]:
    """Row -> promise. Raises CommandError when a row stands twice."""
    found = _ROW.findall(text)
    rows = [row for row, _ in found]
    if twice := sorted({row for row in rows if rows.count(row) > 1}):
        raise CommandError(f"{DOCUMENT}: {', '.join(twice)} stands twice; keep one line per row")
    return dict(found)


def requirements(
    rows: Mapping[str, str], tests: Mapping[str, Sequence[str]], outcomes: Mapping[str, str]
) -> list[Requirement]:
    """Join promises, tests (node id -> rows) and outcomes. Raises CommandError when a test names no row."""
    unknown = [f"{test}: {row}" for test, named in sorted(tests.items()) for row in named if row not in rows]
    if unknown:
        raise CommandError("no row of " + f"{DOCUMENT}; mend the marker:\n" + "\n".join(unknown))
    return [
        Requirement(row, promise, {test: outcomes.get(test) for test, named in sorted(tests.items()) if row in named})
        for row, promise in rows.items()
    ]


def collected(root: Path) -> dict[str, list[str]]:
    """Node id -> rows, of every test that names one. Raises CommandError when a test file cannot be imported."""
    import pytest  # not needed by any command

    tests: dict[str, list[str]] = {}

    class Collector:
        def pytest_collection_finish(self, session: pytest.Session) -> None:
            for item in session.items:
                if named := [str(row) for mark in item.iter_markers("requirement") for row in mark.args]:
                    tests[item.nodeid] = named

    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        code = pytest.main(
            ["--collect-only", "--quiet", f"--rootdir={root}", "-c", f"{root}/pyproject.toml"], [Collector()]
        )
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        raise CommandError(f"pytest could not collect the tests (exit {int(code)}); run `pytest --collect-only`")
    return tests


def rows_of_table(found: Sequence[Requirement]) -> list[tuple[str, str, str]]:
    """Row, promise with its tests below, state. A parametrised test stands once, with the worst of its cases."""
    lines = []
    for requirement in found:
        cases: dict[str, set[str]] = {}
        for test, outcome in requirement.tests.items():
            cases.setdefault(test.partition("[")[0], set()).add(outcome or "not run")
        shown = [f"  {worst(outcomes)}: {sentence(name)}" for name, outcomes in cases.items()]
        lines.append((requirement.row, "\n".join([requirement.promise, *shown]), requirement.state))
    return lines


def sentence(test: str) -> str:
    """The claim that a test's name makes, and the file it stands in."""
    file, _, name = test.partition("::")
    return f"{name.rpartition('::')[2].removeprefix('test_').replace('_', ' ')} ({Path(file).as_posix()})"


def worst(outcomes: set[str]) -> str:
    return next(outcome for outcome in ("failed", "not run", "passed") if outcome in outcomes)


def report(found: Sequence[Requirement], *, as_json: bool) -> None:
    """Print the rows, as one JSON document or as a table and a sum."""
    if as_json:
        answer_json([{"row": one.row, "promise": one.promise, "state": one.state, "tests": one.tests} for one in found])
        return
    answer_table("Requirements", ("row", "promise and tests", "state"), rows_of_table(found))
    states = [one.state for one in found]
    say(", ".join(f"{state} {states.count(state)}" for state in ("passed", "failed", "not run", "no test")))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 when the list could be made; what it says of a row is no error of this command."""
    parser = argparse.ArgumentParser(prog="tenon.requirements", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="folder of the repository (default: here)")
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    try:
        rows = promises((root / DOCUMENT).read_text(encoding="utf-8"))
        results = root / RESULTS
        outcomes = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
        report(requirements(rows, collected(root), outcomes), as_json=options.json)
    except FileNotFoundError:
        say(f"{root / DOCUMENT} is not there; run this in the repository or give --root")
        return int(ExitCode.BAD_INPUT)
    except CommandError as error:
        say(str(error))
        return int(error.code)
    return int(ExitCode.OK)


if __name__ == "__main__":
    sys.exit(main())
