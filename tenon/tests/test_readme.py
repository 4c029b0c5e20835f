"""Every command of the README is run: the cheap ones here, the others where this table says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tenon.__main__ import COMMANDS

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TENON = sorted(set(re.findall(r"`\.venv/bin/tenon ([a-z]+[^`]*)`", README)))
HERE = ("new", "render", "prove")
ELSEWHERE = {  # command -> where it is run
    "diff": "tenon/tests/test_diff.py",
    "up": "tenon/tests/test_job_path.py",
    "jobs": "tenon/tests/test_jobs.py",
    "dlq": "tenon/tests/test_dlq.py",
    "audit": "tenon/tests/test_audit.py",
    "promote": "tenon/tests/test_job_path.py",
    "data": "tenon/tests/test_data.py",
    "train": "tenon/tests/test_train.py",
    "verify": "tenon/tests/test_verify.py",
    "why": "tenon/tests/test_why.py",
    "lint": "tenon/tests/test_lint.py",
    "verdicts": "tenon/tests/test_verdicts.py",
}
MAKE_IN_CI = {
    "demo",
    "mutants",
    "requirements",
    "test",
    "test-apiserver",
    "test-controllers",
    "test-oracle",
    "test-services",
}


def test_every_tenon_command_of_the_readme_has_its_run() -> None:
    named = {words.split()[0] for words in TENON}
    assert named == {*HERE, *ELSEWHERE}
    assert named < set(COMMANDS)
    for command, file in ELSEWHERE.items():
        assert f'"{command}"' in (ROOT / file).read_text(encoding="utf-8")


def test_every_make_target_of_the_readme_is_run_by_ci_or_prints_help() -> None:
    named = set(re.findall(r"(?:`|\$ )make ([a-z-]+)", README)) - {"help"}
    assert named == MAKE_IN_CI
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert all(re.search(rf"^make (.* )?{target}( |$)", script, re.MULTILINE) for target in named)


def test_the_first_command_comes_before_line_25() -> None:
    assert README[: README.index("$ make demo")].count("\n") < 25


@pytest.mark.requirement("C63")
def test_a_newcomer_needs_at_most_five_commands() -> None:
    first = README[README.index("```console") : README.index("## Commands")]
    assert 1 <= len(re.findall(r"^\$ ", first, re.MULTILINE)) <= 5


def test_the_cheap_commands_work_as_the_readme_writes_them(tmp_path: Path) -> None:
    for name in ("tenants", "rendered"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("platform.yaml", "images.lock", "charts.lock"):
        shutil.copy(ROOT / name, tmp_path)
    for words in sorted(TENON, key=lambda words: HERE.index(words.split()[0]) if words.split()[0] in HERE else 99):
        if words.split()[0] in HERE:
            command = [sys.executable, "-m", "tenon", *words.split()]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"tenon {words}: {done.stderr}"
