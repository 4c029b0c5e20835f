"""What `tenon diff` prints on a terminal: one line for a section without rows, and always the proof's verdict."""

from pathlib import Path

import pytest

from tenon.__main__ import main
from tenon.tests.test_diff import small_tree


@pytest.fixture
def trees(tmp_path: Path) -> tuple[str, str]:
    """Two folders whose trees are the same, and not provable."""
    for name in ("before", "after"):
        small_tree(tmp_path / name)
    return str(tmp_path / "before"), str(tmp_path / "after")


def test_each_section_without_a_row_says_so_in_one_line(
    trees: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", *trees]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all(line.endswith(": no change") for line in lines)


def test_the_proofs_verdict_is_there_although_no_flow_changes(
    trees: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["diff", *trees])
    assert "Flows: 0 opened, 0 closed; isolation NOT proved (eu1: " in capsys.readouterr().out


def test_a_section_with_rows_has_its_title_on_one_line_before_the_table(
    trees: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    next(Path(trees[1]).rglob("core_resourcequota_serving.yaml")).unlink()
    assert main(["diff", "--without-flows", *trees]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "Removals: 0 tenants, 1 objects"
    assert lines[1].split() == ["tenant", "fate", "what"]
