"""A command that trains, asked to stop or started twice: it says what happened, and never ends in 0 half done."""

import fcntl
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tenon.__main__ import main


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    (tmp_path / "spec.yaml").write_text(json.dumps({"base": "b", "data": "d"}))
    return ["train", str(tmp_path / "spec.yaml"), "--out", str(tmp_path / "out")]


@pytest.mark.requirement("E78")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
@pytest.mark.parametrize("name", ["train", "data"])
def test_a_signal_before_the_training_ends_with_143_and_its_reason(
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    number: signal.Signals,
) -> None:
    before = signal.getsignal(number)
    monkeypatch.setattr("trainer.pipeline.run_step", lambda *_: os.kill(os.getpid(), number))

    assert main([name, *command[1:]]) == 143
    assert capsys.readouterr().err.splitlines()[-1].startswith("asked to stop; the step begins anew")
    assert signal.getsignal(number) is before


@pytest.mark.requirement("E78")
def test_a_signal_that_a_step_outlives_ends_the_command_before_the_next(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from trainer.durability.interruption import watched

    ran: list[str] = []

    def finishes(name: str, *_: Any) -> None:
        with watched():
            ran.append(name)
            if name == "train":
                os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("trainer.pipeline.run_step", finishes)

    assert main(command) == 143
    assert ran == ["prepare", "train"]
    assert capsys.readouterr().err.splitlines()[-1].startswith("asked to stop: the step is done; start again")


@pytest.mark.parametrize("name", ["train", "data"])
def test_a_folder_that_another_process_works_in_is_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "out/work").mkdir(parents=True)
    with (tmp_path / "out/work/lock").open("w") as other:
        other.write("4711")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)

        assert main([name, *command[1:]]) == 2
    assert "out: is in use by process 4711; let it end" in capsys.readouterr().err.splitlines()[-1]
