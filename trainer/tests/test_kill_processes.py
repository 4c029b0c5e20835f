"""Real `python -m trainer train` processes, killed at moments that a seed draws (tier test-long).

A moment is a checkpoint that appears and some milliseconds more; those of test_kill_anywhere.py are exact.
"""

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from trainer.contract import steps
from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Hyperparameters
from trainer.contract.report import Report
from trainer.contract.steps import Exit
from trainer.publishing.manifest import Incomplete, verify
from trainer.tests import toy

INTERVAL, LAST = 20, 60  # of the recipe smollm2-135m-cpu; steps of the job
ONE_RANK, TWO_RANKS = 20, 10
_LIMIT_SECONDS = 300


@dataclass(frozen=True)
class Machine:
    """A bucket folder in which a job has been prepared, and the digest of the training that nothing stopped."""

    prepared: Path
    environment: Mapping[str, str]
    digest: str = ""

    def attempt(self, bucket: Path) -> Path:
        return bucket / "jobs/local/1"

    def started(self, bucket: Path) -> subprocess.Popen[bytes]:
        environment = {**self.environment, steps.BUCKET_URL: str(bucket), steps.WORK: str(bucket / "work")}
        command = [sys.executable, "-m", "trainer", "train"]
        return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)

    def report(self, bucket: Path) -> Report:
        return Report.model_validate_json((self.attempt(bucket) / "report.json").read_text())

    def complete(self, bucket: Path) -> list[int]:
        found = []
        for folder in sorted((self.attempt(bucket) / "checkpoints").glob("step-*")):
            try:
                verify(folder)
            except Incomplete:
                continue
            found.append(int(folder.name.removeprefix("step-")))
        return found


def machine(folder: Path, base: Path, *, ranks: int) -> Machine:
    job = TrainingJob(
        base=str(base),
        data=str(toy.write_rows(folder / "train.jsonl", toy.rows(40))),
        hyperparameters=Hyperparameters(epochs=100, batch_rows=2, max_steps=LAST),
    )
    environment = {steps.JOB: job.to_parameter(), steps.ATTEMPT: "1", "OMP_NUM_THREADS": "1"}
    made = Machine(folder / "prepared", {**environment, steps.RANKS_PER_NODE: str(ranks)})
    told = {**made.environment, steps.BUCKET_URL: str(made.prepared), steps.WORK: str(folder / "work")}
    subprocess.run([sys.executable, "-m", "trainer", "prepare"], env=told, check=True, timeout=_LIMIT_SECONDS)
    straight = shutil.copytree(made.prepared, folder / "straight")
    assert made.started(straight).wait(_LIMIT_SECONDS) == Exit.DONE
    digest = made.report(straight).adapter_digest
    assert digest is not None
    return Machine(made.prepared, made.environment, digest)


def outcome(machine: Machine, bucket: Path, seed: int, with_signal: signal.Signals) -> str:
    """Kill, go on, compare; what happened in a line. Raises AssertionError with the seed."""
    drawn = random.Random(seed)  # noqa: S311 - a choice of tests
    shutil.copytree(machine.prepared, bucket)
    process = machine.started(bucket)
    after, delay = drawn.choice((0, INTERVAL, 2 * INTERVAL)), drawn.random() * 0.5
    wait_for(machine.attempt(bucket) / f"checkpoints/step-{after:08d}", process, delay=delay)
    process.send_signal(with_signal)
    code = process.wait(_LIMIT_SECONDS)
    told = f"seed {seed}: {with_signal.name} {delay:.3f} s after step {after} ended in {code}"
    if with_signal is signal.SIGTERM:  # -15: before the program had begun; Kubernetes calls it 143
        assert code in {Exit.STOPPED, Exit.KILLED, -signal.SIGTERM, Exit.DONE}, told
    _wait_for_orphans(machine, bucket)
    left = machine.complete(bucket)
    is_over = code == Exit.DONE
    assert machine.started(bucket).wait(_LIMIT_SECONDS) == Exit.DONE, told
    report = machine.report(bucket)
    assert report.adapter_digest == machine.digest, told
    assert is_over or report.resumed_from == (left[-1] if left else None), f"{told}; {left} were complete"
    shutil.rmtree(bucket)
    return f"{told}; it went on from {report.resumed_from}"


def wait_for(checkpoint: Path, process: subprocess.Popen[bytes], *, delay: float) -> None:
    until = time.monotonic() + _LIMIT_SECONDS
    is_start = checkpoint.name.endswith("-00000000")
    while not is_start and not checkpoint.exists() and process.poll() is None:
        assert time.monotonic() < until, "no checkpoint appears"
        time.sleep(0.002)
    time.sleep(delay * (10 if is_start else 1))


def _wait_for_orphans(machine: Machine, bucket: Path) -> None:
    """Ranks die with their launcher, but not in the same instant."""
    until = time.monotonic() + 60
    while any(str(bucket).encode() in _environment(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        assert time.monotonic() < until, "a rank outlives its launcher"
        time.sleep(0.05)


def _environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""


@pytest.mark.long
@pytest.mark.requirement("E78")
@pytest.mark.parametrize(("ranks", "number"), [(1, ONE_RANK), (2, TWO_RANKS)])
def test_real_processes_that_are_killed_end_in_the_same_adapter(
    tmp_path: Path, base: Path, ranks: int, number: int
) -> None:
    made = machine(tmp_path, base, ranks=ranks)
    for seed in range(number):
        with_signal = (signal.SIGKILL, signal.SIGTERM)[seed % 2]
        print(outcome(made, tmp_path / f"seed-{seed}", seed, with_signal))  # noqa: T201 - figures of the run
