"""The launcher before small programs in the place of a training; test_ranks.py has the trainings."""

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from trainer.contract import steps
from trainer.contract.steps import Exit
from trainer.launch import Pod, is_needed, launch, together
from trainer.outcomes import BadInput

TWO = {steps.RANKS_PER_NODE: "2"}
SIGKILLED, SIGTERMED = -signal.SIGKILL, -signal.SIGTERM


@pytest.mark.requirement("D66")
@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([0, 0], Exit.DONE),
        ([75, 75], Exit.STOPPED),
        ([0, 75], Exit.STOPPED),
        ([1, 2], Exit.BAD_INPUT),
        ([75, 1], Exit.FAILED),
        ([75, SIGKILLED], Exit.FAILED),
        ([SIGKILLED, 0], Exit.FAILED),
        ([143, 1], Exit.KILLED),
        ([SIGTERMED, SIGTERMED], Exit.KILLED),
    ],
)
def test_the_ranks_codes_become_one(codes: list[int], code: Exit) -> None:
    assert together(codes) == code
    assert together(codes[::-1]) == code


def _program(text: str) -> tuple[str, str]:
    return ("-c", f"import os, signal, sys, time; rank = os.environ['RANK']\n{text}")


def test_each_rank_is_told_its_place(tmp_path: Path) -> None:
    names = "'WORLD_SIZE', 'LOCAL_RANK', 'LOCAL_WORLD_SIZE', 'MASTER_ADDR'"
    say = f"open({str(tmp_path)!r} + '/' + rank, 'w').write(' '.join(os.environ[name] for name in ({names})))"

    assert launch("train", {**os.environ, **TWO}, program=_program(say)) == Exit.DONE

    assert [(tmp_path / rank).read_text() for rank in "01"] == ["2 0 2 127.0.0.1", "2 1 2 127.0.0.1"]


def test_what_a_later_rank_said_is_repeated_when_it_decides(capsys: pytest.CaptureFixture[str]) -> None:
    fail = "sys.stderr.write(f'rows: of rank {rank} are wrong\\n'); sys.exit(2 if rank == '1' else 1)"

    assert launch("train", {**os.environ, **TWO}, program=_program(fail)) == Exit.BAD_INPUT

    assert capsys.readouterr().err.splitlines()[-1] == "rows: of rank 1 are wrong"


def test_ranks_that_wait_for_a_dead_one_are_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("trainer.launch._SECONDS_FOR_THE_OTHERS", 0.1)
    die = "os.kill(os.getpid(), signal.SIGKILL) if rank == '1' else signal.pause()"

    assert launch("train", {**os.environ, **TWO}, program=_program(die)) == Exit.FAILED

    assert "was killed by signal 9" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_reaches_every_rank(tmp_path: Path, number: signal.Signals) -> None:
    wait = (
        f"signal.signal({int(number)}, lambda *_: sys.exit(75))\n"
        f"open({str(tmp_path)!r} + '/ready', 'a').write(rank)\n"
        # again and again: a signal in the instant before a wait begins does not end that wait
        "while True: signal.sigtimedwait([], 0.05)"
    )
    ready = tmp_path / "ready"
    os.mkfifo(ready)

    def ask() -> None:
        said = ""
        while len(said) < 2:
            said += ready.read_text()
        os.kill(os.getpid(), number)

    asker = threading.Thread(target=ask)
    asker.start()
    code = launch("train", {**os.environ, **TWO}, program=_program(wait))
    asker.join()

    assert code == Exit.STOPPED


def test_ranks_end_with_their_launcher(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "alive")
    rank = f"open({str(tmp_path / 'alive')!r}, 'w').write(str(os.getpid())); signal.pause()"
    script = (
        "import os, threading; from trainer.launch import launch\n"
        f"launch('train', {{**os.environ, {steps.RANKS_PER_NODE!r}: '1'}}, program=('-c', '''"
        "import os, signal; from trainer.launch import die_with_launcher; die_with_launcher(os.environ)\n"
        f"{rank}'''))"
    )
    launcher = subprocess.Popen([sys.executable, "-c", script])
    number = int((tmp_path / "alive").read_text())
    watched = os.pidfd_open(number)

    launcher.kill()
    launcher.wait()

    assert select.select([watched], [], [], 20)[0], "the rank outlives its launcher"


BAD = {
    "ranks no number": ({steps.RANKS_PER_NODE: "auto"}, "PET_NPROC_PER_NODE: 'auto' is no whole number"),
    "elastic nodes": ({steps.NODES: "1:4"}, "PET_NNODES: '1:4' is no whole number"),
    "no address": ({steps.NODES: "2", steps.NODE_RANK: "0"}, "PET_MASTER_ADDR and PET_NODE_RANK: None and 0"),
    "rank too high": (
        {steps.NODES: "2", steps.NODE_RANK: "2", steps.MASTER_ADDRESS: "a", steps.MASTER_PORT: "1"},
        "do not fit 2 nodes",
    ),
}


@pytest.mark.parametrize(("environment", "text"), BAD.values(), ids=BAD)
def test_a_wrong_place_is_refused(environment: dict[str, str], text: str) -> None:
    with pytest.raises(BadInput, match=text):
        Pod.from_environment(environment)


def test_only_a_step_that_ranks_share_is_divided_and_only_once() -> None:
    assert is_needed("train", TWO)
    assert is_needed("evaluate", {steps.NODES: "2"})
    assert not is_needed("prepare", TWO)
    assert not is_needed("train", {steps.RANKS_PER_NODE: "1"})
    assert not is_needed("train", {**TWO, "RANK": "0"})
