import queue
import subprocess
import sys
import time

import pytest

from trainer.contract.steps import Exit
from trainer.durability.watchdog import Watchdog, watching


def test_a_step_that_takes_too_long_is_named() -> None:
    now = [0.0]
    watchdog = Watchdog(30, clock=lambda: now[0])
    watchdog.alive("step 7")

    now[0] = 29.0
    assert watchdog.stuck is None
    now[0] = 31.0
    assert watchdog.stuck == "step 7: has taken 31 s, more than stuckSeconds (30)"
    watchdog.alive("step 8")
    assert watchdog.stuck is None


def test_a_wall_clock_that_jumps_by_years_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: queue.SimpleQueue[str] = queue.SimpleQueue()
    with watching(0.2, end=ended.put) as watchdog:
        monkeypatch.setattr(time, "time", lambda: 4e9)
        watchdog.alive("step 1")
        assert watchdog.stuck is None
        assert ended.empty()
        assert "step 1: has taken" in ended.get(timeout=20)


def test_a_stuck_process_ends_with_1_and_shows_where_it_stands() -> None:
    program = (
        "import signal\n"
        "from trainer.durability.watchdog import watching\n"
        "def hangs():\n    signal.pause()\n"
        "with watching(0.1) as watchdog:\n    watchdog.alive('step 3')\n    hangs()\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == Exit.FAILED
    assert "in hangs" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("step 3: has taken")
