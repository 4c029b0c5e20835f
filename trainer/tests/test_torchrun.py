"""The same program under torchrun, for those who have it around their own programs (tier test-model)."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.contract import steps
from trainer.tests.s3 import free_ports
from trainer.tests.test_kill_processes import INTERVAL, LAST, Machine, machine, wait_for

pytestmark = pytest.mark.model
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "0", "--master-port")


def _started(made: Machine, bucket: Path) -> subprocess.Popen[bytes]:
    environment = {**made.environment, steps.BUCKET_URL: str(bucket), steps.WORK: str(bucket / "work")}
    del environment[steps.RANKS_PER_NODE]  # torchrun counts the ranks
    (port,) = free_ports(1)
    command = [sys.executable, *TORCHRUN, str(port), "-m", "trainer", "train"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def test_ranks_that_torchrun_starts_and_stops_end_in_the_launchers_adapter(tmp_path: Path, base: Path) -> None:
    made = machine(tmp_path, base, ranks=2)
    bucket = shutil.copytree(made.prepared, tmp_path / "bucket")
    stopped = _started(made, bucket)
    wait_for(made.attempt(bucket) / f"checkpoints/step-{INTERVAL:08d}", stopped, delay=0.0)
    stopped.send_signal(signal.SIGTERM)
    assert stopped.wait(120) != 0  # torchrun has a code of its own; it is never that of success
    left = made.complete(bucket)
    assert left
    assert left[-1] < LAST
    assert _started(made, bucket).wait(300) == 0
    report = made.report(bucket)
    assert (report.adapter_digest, report.resumed_from) == (made.digest, left[-1])
