"""Values that say nothing are refused, and not taken for an option that was left out."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tenon.__main__ import main

Said = Callable[..., str]


@pytest.fixture
def said(root: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """What a command says when it refuses."""

    def run(*words: str) -> str:
        assert main([*words, "--root", str(root)]) == 2
        return capsys.readouterr().err

    return run


@pytest.mark.parametrize("name", ["owner", "flavor", "model", "base", "api-key-id", "api-key-sha256"])
def test_an_empty_value_is_not_taken_for_none(said: Said, name: str) -> None:
    others = {"model": ["--base", "smollm2-135m"], "base": ["--model", "m"]}
    assert f"--{name}: is empty; give a value" in said("new", "hooli", f"--{name}", "", *others.get(name, []))


def test_fewer_removals_than_none_cannot_be_allowed(root: Path, said: Said) -> None:
    shutil.copytree(root / "tenants", root / "rendered/eu1/tenants")
    text = said("diff", str(root), str(root), "--allow-removals", "-1")
    assert "--allow-removals: -1 is below 0" in text
