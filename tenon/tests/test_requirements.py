import json
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from tenon.output import CommandError
from tenon.requirements import DOCUMENT, Requirement, promises, requirements, rows_of_table

ROOT = Path(__file__).parents[2]
PARTS = {
    "A": range(1, 37),
    "B": range(37, 49),
    "C": range(49, 64),
    "D": range(64, 74),
    "E": range(74, 88),
    "H": range(1, 33),
    "N": (1, 2, 3, 4, 13),
}
ROWS = {"A1": "It answers.", "A2": "It holds."}


def test_the_document_lists_each_of_the_124_rows_once_in_order() -> None:
    listed = promises((ROOT / DOCUMENT).read_text(encoding="utf-8"))

    assert list(listed) == list(chain(*([f"{part}{number}" for number in rows] for part, rows in PARTS.items())))


def test_a_row_that_stands_twice_is_refused() -> None:
    with pytest.raises(CommandError, match="A1 stands twice"):
        promises("- **A1** one\n- **A1** two\n")


def test_a_marker_that_names_no_row_is_refused_with_its_test() -> None:
    with pytest.raises(CommandError, match=r"test_x\.py::test_y: Z9"):
        requirements(ROWS, {"test_x.py::test_y": ["Z9"]}, {})


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ({}, "not run"),
        ({"t::a": "passed"}, "not run"),
        ({"t::a": "passed", "t::b": "failed"}, "failed"),
        ({"t::a": "passed", "t::b": "passed"}, "passed"),
    ],
)
def test_a_row_is_as_good_as_its_worst_test(outcomes: dict[str, str], state: str) -> None:
    first, second = requirements(ROWS, {"t::a": ["A1"], "t::b": ["A1"]}, outcomes)

    assert (first.state, second.state) == (state, "no test")


def test_a_parametrised_test_stands_once_with_its_worst_case() -> None:
    [(_, shown, _)] = rows_of_table(
        [Requirement("A1", "It answers.", {"f.py::test_it_is_so[1]": "passed", "f.py::test_it_is_so[2]": "failed"})]
    )

    assert shown == "It answers.\n  failed: it is so (f.py)"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of one document, two marked tests and our own conftest.py."""
    (tmp_path / "docs").mkdir()
    (tmp_path / DOCUMENT).write_text("- **A1** It answers.\n- **A2** It holds.\n", encoding="utf-8")
    (tmp_path / "conftest.py").write_bytes((ROOT / "conftest.py").read_bytes())
    marker = 'markers = ["requirement(*rows): rows"]'
    (tmp_path / "pyproject.toml").write_text(f"[tool.pytest.ini_options]\n{marker}\n", encoding="utf-8")
    tests = 'import pytest\n@pytest.mark.requirement("A1")\ndef test_one(): pass\n'
    (tmp_path / "test_them.py").write_text(tests, encoding="utf-8")
    return tmp_path


def listed(repository: Path) -> dict[str, str]:
    command = [sys.executable, "-m", "tenon.requirements", "--json", "--root", str(repository)]
    answer = subprocess.run(command, capture_output=True, check=True, cwd=repository, timeout=60)
    return {one["row"]: one["state"] for one in json.loads(answer.stdout)}


def test_the_list_follows_the_last_run(repository: Path) -> None:
    before = listed(repository)
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "1"], cwd=repository, check=True, capture_output=True, timeout=60
    )

    assert before == {"A1": "not run", "A2": "no test"}
    assert listed(repository) == {"A1": "passed", "A2": "no test"}


def test_a_marker_that_names_no_row_stops_the_run(repository: Path) -> None:
    wrong = 'import pytest\n@pytest.mark.requirement("Z9")\ndef test_one(): pass\n'
    (repository / "test_them.py").write_text(wrong, encoding="utf-8")
    run = subprocess.run([sys.executable, "-m", "pytest"], cwd=repository, check=False, capture_output=True, timeout=60)

    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert b"Z9 is no row of docs/requirements.md" in run.stderr
