"""Answers on standard output: whole or an error in one line, and as they are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tenon.output import answer_table
from tenon.tests.test_diff import small_tree

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="/dev/full stands for a full disk, and is Linux's")
@pytest.mark.parametrize("form", ["--json", "--markdown", None])
def test_an_answer_that_finds_no_room_is_one_line(form: str | None, tmp_path: Path) -> None:
    small_tree(tmp_path)
    words = ["diff", str(tmp_path), str(tmp_path), "--without-flows", *([form] if form else [])]
    with FULL.open("w") as full:
        command = [sys.executable, "-m", "tenon", *words]
        run = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True)
    text = "tenon diff: standard output: cannot be written (No space left on device); make room and ask again\n"
    assert (run.returncode, run.stderr) == (2, text)


LINT = f"{sys.executable} -m tenon lint --list"


@pytest.mark.parametrize("form", ["", "--json"])
def test_a_closed_standard_output_is_one_line(form: str) -> None:
    run = subprocess.run(["sh", "-c", f"{LINT} {form} >&-"], check=False, stderr=subprocess.PIPE, text=True)
    text = "tenon lint: standard output: is closed, so there is nowhere to answer; open it and ask again\n"
    assert (run.returncode, run.stderr) == (2, text)


def test_a_closed_standard_error_leaves_the_answer_alone() -> None:
    words = f"echo a: 1 | {sys.executable} -m tenon lint - 2>&-"
    run = subprocess.run(["sh", "-c", words], check=False, stdout=subprocess.PIPE)
    assert (run.returncode, run.stdout) == (0, b"")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_reader_that_left_was_told_neither_yes_nor_no(form: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run([*LINT.split(), *form], check=False, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (run.returncode, run.stderr) == (141, "")


def test_brackets_in_a_tree_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    answer_table("t [/b]", ("a",), [("[red]x[/]",), ("egress[/y]",)])
    assert {"t [/b]", "[red]x[/]", "egress[/y]"} <= {line.strip() for line in capsys.readouterr().out.splitlines()}
