import json
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer import storage
from trainer.attempt import AttemptFolder
from trainer.contract.bucket import USAGE
from trainer.outcomes import Unavailable
from trainer.settings import Footprint
from trainer.sinks import Line, Sinks
from trainer.tests.conftest import MakeSettings
from trainer.usage import Meter, metered, usage_of
from trainer.usage.energy import WATTS_PER_CORE, GpuEnergy
from trainer.usage.trace import Mark, Seconds, Trace, summed

HERE = Footprint(grams_per_kwh=400, overhead=1.5)


def seconds(number: float) -> Seconds:
    return Seconds(cpu=number, gpu=2 * number)


def run_of(number: int, used: float, *, resumed_from: int | None = None, **marks: float) -> Trace:
    """A train run; marks: step7=3.5 is a checkpoint of step 7 after 3.5 processor seconds."""
    kept = [Mark(step=int(name.removeprefix("step")), productive=seconds(at)) for name, at in marks.items()]
    return Trace(step="train", number=number, used=seconds(used), resumed_from=resumed_from, marks=tuple(kept))


@pytest.mark.requirement("E87")
def test_what_a_killed_run_did_after_its_last_checkpoint_is_wasted() -> None:
    killed = run_of(1, 10, resumed_from=0, step5=4, step10=8)
    last = run_of(2, 6, resumed_from=10, step15=6)

    usage = summed([killed, last], HERE)

    assert (usage.cpu_seconds, usage.productive_cpu_seconds, usage.wasted_cpu_seconds) == (16, 14, 2)
    assert (usage.gpu_seconds, usage.productive_gpu_seconds, usage.wasted_gpu_seconds) == (32, 28, 4)


def test_steps_repeated_after_a_torn_checkpoint_are_wasted_the_first_time() -> None:
    killed = run_of(1, 10, resumed_from=0, step5=4, step10=8)

    assert summed([killed, run_of(2, 6, resumed_from=5, step15=6)], HERE).wasted_cpu_seconds == 6
    assert summed([killed, run_of(2, 6, resumed_from=0, step15=6)], HERE).wasted_cpu_seconds == 10


def test_ranks_and_steps_of_the_pipeline_do_not_touch_each_other() -> None:
    prepared = Trace(step="prepare", used=seconds(3), marks=(Mark(step=0, productive=seconds(3)),))
    ranks = [run_of(1, 5, resumed_from=0, step9=5).model_copy(update={"rank": rank}) for rank in range(4)]

    usage = summed([prepared, *ranks], HERE)

    assert (usage.cpu_seconds, usage.wasted_cpu_seconds) == (23, 0)


@given(st.lists(st.tuples(st.floats(0.1, 100), st.floats(0, 1), st.integers(0, 20)), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_used_is_always_productive_and_wasted(runs: list[tuple[float, float, int]]) -> None:
    traces = [
        Trace(
            step="train",
            number=number,
            used=seconds(used),
            resumed_from=step,
            marks=(Mark(step=step + 1, productive=seconds(used * share)),),
        )
        for number, (used, share, step) in enumerate(runs, start=1)
    ]
    usage = summed(traces, HERE)

    assert usage.productive_cpu_seconds + usage.wasted_cpu_seconds == pytest.approx(usage.cpu_seconds, abs=0.01)
    assert 0 <= usage.productive_cpu_seconds <= usage.cpu_seconds + 0.01


def test_a_skipped_step_is_wasted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1.0, 4.0, 4.5, 4.5])
    monkeypatch.setattr("trainer.usage.meter.processor_seconds", lambda: next(clock))
    meter = Meter(_cpu=0.0)
    meter.stepped(kept=True)
    meter.stepped(kept=False)
    meter.kept(2)

    usage = summed([meter.trace("train")], HERE)
    assert (usage.cpu_seconds, usage.productive_cpu_seconds, usage.wasted_cpu_seconds) == (4.5, 1.5, 3)


KILLED = """
import os, signal, sys
from pathlib import Path
from trainer.attempt import AttemptFolder
from trainer.settings import Settings
from trainer.contract.job import TrainingJob
from trainer.sinks import Sinks
from trainer.usage import metered

folder = sys.argv[1]
told = Settings(job=TrainingJob(base="b", data="d"), attempt_url=folder, work=Path(folder))
with metered(AttemptFolder.of(told), "train", told, sink=Sinks()) as run:
    run.resumed(0)
    sum(range(1_000_000))
    run.write()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.requirement("E87")
def test_what_a_killed_run_used_is_counted_and_wasted(make_settings: MakeSettings) -> None:
    told = make_settings()
    attempt = AttemptFolder.of(told)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(attempt.local)], check=False, timeout=60)
    with metered(attempt, "train", told, sink=Sinks()) as run:
        run.resumed(0)
        sum(range(1_000_000))
        run.kept(4)
        usage = run.total()

    assert killed.returncode == -signal.SIGKILL
    assert sorted(path.name for path in (attempt.local / USAGE).iterdir()) == ["train-0-1", "train-0-2"]
    assert usage.cpu_seconds > usage.wasted_cpu_seconds > 0.005


def test_a_bucket_that_is_away_ends_no_run(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise Unavailable("s3://tenon-acme: does not answer")

    told = make_settings()
    monkeypatch.setattr(storage, "write", refuse)
    with metered(AttemptFolder.of(told), "train", told, sink=Sinks()) as run:
        run.kept(1)

    assert "usage: s3://tenon-acme: does not answer" in caplog.text


def test_charts_see_the_counters_of_the_whole_attempt(make_settings: MakeSettings) -> None:
    class Chart(Sinks):
        def __init__(self) -> None:
            super().__init__()
            self.lines: list[Line] = []

        def record(self, line: Line) -> None:
            self.lines.append(line)

    told, chart = make_settings(), Chart()
    attempt = AttemptFolder.of(told)
    with metered(attempt, "prepare", told, sink=Sinks()) as run:
        run.kept()
        before = run.total().cpu_seconds
    with metered(attempt, "train", told, sink=chart):
        pass

    assert chart.lines[-1]["cpuSeconds"] >= before
    assert chart.lines[-1]["wastedCpuSeconds"] <= chart.lines[-1]["cpuSeconds"]


def test_a_file_that_is_no_trace_is_named_and_left_out(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    attempt = AttemptFolder.of(make_settings())
    storage.write(f"{attempt.local}/{USAGE}/train-0-1/trace.json", b"{}x")

    assert usage_of(attempt, HERE).cpu_seconds == 0
    assert "train-0-1: is no trace of a run" in caplog.text


def test_energy_is_read_from_the_gpus_counter() -> None:
    counter = iter([7_200_000])
    library = SimpleNamespace(nvmlDeviceGetTotalEnergyConsumption=lambda _: next(counter))

    assert GpuEnergy(library, handle=None, first=3_600_000).watt_hours() == 1.0


def test_without_a_counter_energy_is_an_estimate_and_says_so() -> None:
    trace = Meter().trace("prepare").model_copy(update={"used": Seconds(cpu=3600)})
    usage = summed([trace.model_copy(update={"energy_wh": WATTS_PER_CORE})], HERE)

    assert (usage.energy_wh, usage.energy_estimated) == (10.0, True)
    assert usage.co2_grams == 6.0  # 0.01 kWh x 1.5 x 400 g


def test_the_usage_of_an_attempt_is_in_its_own_folder_only(make_settings: MakeSettings, tmp_path: Path) -> None:
    told = make_settings()
    attempt = AttemptFolder.of(told)
    with metered(attempt, "prepare", told, sink=Sinks()):
        pass

    trace = json.loads((attempt.local / USAGE / "prepare-0-1/trace.json").read_text())
    assert (trace["step"], trace["rank"], trace["number"]) == ("prepare", 0, 1)


def test_a_store_that_hangs_draws_no_end_of_a_step_out(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, released = Event(), Event()

    calls: list[str] = []

    def hanging(url: str, content: bytes) -> None:
        del content
        calls.append(url)
        entered.set()
        released.wait(60)

    monkeypatch.setattr(storage, "write", hanging)
    monkeypatch.setattr("trainer.usage.run.SECONDS_FOR_THE_LAST", 0.05)
    told = make_settings()
    with metered(AttemptFolder.of(told), "train", told, sink=Sinks()):
        assert entered.wait(30)
    asked = calls.copy()
    released.set()

    assert len(asked) == 1  # the last trace waits behind it, and nobody for either
