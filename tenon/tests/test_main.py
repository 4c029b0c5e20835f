"""The command table: every command is there, lazy, and kind to mistakes."""

import subprocess
import sys
from pathlib import Path

import pytest

from tenon.__main__ import COMMANDS, main

ROOT = Path(__file__).parent.parent.parent
HEAVY = {  # a command that does its work on this repository -> what it must not have imported
    ("render", "--check"): ("torch", "sqlalchemy", "boto3"),
    ("prove",): ("torch", "cdk8s", "jsii", "sqlalchemy", "app"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert "--root" in capsys.readouterr().out


@pytest.mark.parametrize("command", HEAVY, ids=" ".join)
def test_a_command_imports_nothing_heavy_that_it_does_not_need(command: tuple[str, ...]) -> None:
    code = (
        "import sys; from tenon.__main__ import main\n"
        f"assert main([*{command}, '--root', '.', '--json']) == 0\n"
        f"print([name for name in {HEAVY[command]} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_wrong_root_is_bad_input_without_a_stack_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--root", str(tmp_path), "--home", str(tmp_path / "home")]) == 2
    assert "run `tenon render` first" in capsys.readouterr().err
