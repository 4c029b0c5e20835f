"""Twenty steps of SmolLM2 by the command itself: what they learn, how much memory and how much work they take."""

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from trainer.contract.report import Report
from trainer.tests.test_demo_data import HELD_OUT, TRAINING, fall

STEPS = 20
ROWS, HELD_OUT_ROWS = 400, 40  # of GSM8K; twenty steps of 512 tokens take about 60 rows
MOST_BYTES = 4e9
MOST_CPU_SECONDS = 360  # three minutes of two cores; unlike the clock they do not count what else the machine does


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from trainer.model.gguf import import_smollm2

    folder = tmp_path_factory.mktemp("smollm2") / "base"
    import_smollm2(folder)
    return folder


def shipped(_: Path) -> tuple[Path, Path]:
    """The demo's rows."""
    return TRAINING, HELD_OUT


def gsm8k(folder: Path) -> tuple[Path, Path]:
    """The first rows of GSM8K. Skips where TENON_DATA names no folder that holds it."""
    source = Path(os.environ.get("TENON_DATA", "")) / "gsm8k"
    if "TENON_DATA" not in os.environ or not (source / "train.jsonl").is_file():
        pytest.skip("TENON_DATA names no folder with gsm8k/train.jsonl")
    return (
        _first(source / "train.jsonl", ROWS, folder / "train.jsonl"),
        _first(source / "test.jsonl", HELD_OUT_ROWS, folder / "heldout.jsonl"),
    )


def _first(source: Path, rows: int, target: Path) -> Path:
    with source.open(encoding="utf-8") as file:
        target.write_text("".join(islice(file, rows)), encoding="utf-8")
    return target


@pytest.mark.model
@pytest.mark.requirement("C62")
@pytest.mark.parametrize("rows", [shipped, gsm8k])
def test_twenty_steps_take_a_quarter_of_the_loss_in_bounded_memory_and_work(
    rows: Callable[[Path], tuple[Path, Path]], base: Path, tmp_path: Path
) -> None:
    report, used, seconds = trained(*rows(tmp_path), base=base, out=tmp_path / "out")
    cpu_seconds, peak = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024

    sys.stderr.write(
        f"\n{rows.__name__}: loss {report.loss_before:.4f} to {report.loss_after:.4f} in {report.steps} steps,"
        f" {report.tokens} tokens; {seconds:.0f} s, {cpu_seconds:.0f} CPU s, {peak / 1e9:.2f} GB; load"
        f" {os.getloadavg()[0]:.1f}\n"
    )
    assert report.steps == STEPS
    assert fall(report) >= 0.25
    assert peak < MOST_BYTES
    assert cpu_seconds < MOST_CPU_SECONDS


def trained(data: Path, held_out: Path, *, base: Path, out: Path) -> tuple[Report, resource.struct_rusage, float]:
    """Report, what the process took from its start to its end, and the seconds that passed."""
    out.mkdir()
    spec = out / "job.json"
    job = {
        "base": str(base),
        "data": str(data),
        "evaluation": str(held_out),
        "hyperparameters": {"maxSteps": STEPS},
        "checks": {"generations": 0},
    }
    spec.write_text(json.dumps(job), encoding="utf-8")
    command = [sys.executable, "-m", "tenon", "train", str(spec), "--out", str(out), "--json"]
    began = time.monotonic()
    with (out / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL)
        killer = threading.Timer(900, process.kill)
        killer.start()
        _, status, used = os.wait4(process.pid, 0)
        killer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return Report.model_validate_json((out / "said").read_bytes()), used, time.monotonic() - began
