"""The log of a step in the bucket: whole lines in order, bounded, kept through kills, and never a fault of the step."""

import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from trainer import log as logs
from trainer import storage
from trainer.contract import bucket
from trainer.log import LogSink, StepLog, logged
from trainer.outcomes import BadInput, Unavailable
from trainer.settings import Settings
from trainer.sinks import StatusSink

MakeSettings = Callable[..., Settings]


def parts(folder: Path) -> dict[int, bytes]:
    """The parts of a log by their offset."""
    found = {int(part.name): (part / bucket.LINES).read_bytes() for part in folder.iterdir()}
    return dict(sorted(found.items()))


def text(folder: Path) -> str:
    return b"".join(parts(folder).values()).decode()


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "the condition did not come true in time"
        time.sleep(0.01)


@pytest.mark.requirement("A10")
def test_every_line_gets_there_in_order_and_each_part_says_where_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "PART_BYTES", 100)
    monkeypatch.setattr(logs, "MOST_PARTS", 100)
    log = StepLog(str(tmp_path))
    lines = [f"line {number}\n" for number in range(100)]
    for line in lines:
        log.write(line[:3])
        log.write(line[3:])
    log.end()
    assert text(tmp_path) == "".join(lines)
    offset = 0
    for begins, content in parts(tmp_path).items():
        assert (begins, content[-1:]) == (offset, b"\n")
        assert len(content) <= 100
        offset += len(content)


def test_lines_are_there_while_the_step_still_runs(tmp_path: Path) -> None:
    log = StepLog(str(tmp_path), seconds_between=0.01)
    log.write("first\nhalf of the sec")
    wait_until(lambda: bool(list(tmp_path.rglob(bucket.LINES))))
    assert text(tmp_path) == "first\n"
    log.end()
    assert text(tmp_path) == "first\nhalf of the sec\n"


def test_the_run_after_a_kill_goes_on_where_the_one_before_ended(tmp_path: Path) -> None:
    for run in ("first", "second"):
        log = StepLog(str(tmp_path))
        log.write(f"{run}\n")
        log.end()
    assert parts(tmp_path) == {0: b"first\n", 6: b"second\n"}


def test_a_log_without_an_end_keeps_its_newest_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PART_BYTES", 100)
    monkeypatch.setattr(logs, "LINE_BYTES", 50)
    log = StepLog(str(tmp_path))
    for number in range(1000):
        log.write(f"line {number}\n")
    log.write("x" * 100_000)
    log.end()
    assert len(parts(tmp_path)) == logs.MOST_PARTS
    assert "line 999\n" in text(tmp_path)


def test_a_store_that_is_away_costs_lines_and_time_of_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_WAITING_BYTES", 1000)
    is_away, write = [True], storage.write

    def kept(url: str, content: bytes) -> None:
        if is_away[0]:
            raise Unavailable("the store does not answer")
        write(url, content)

    monkeypatch.setattr(storage, "write", kept)
    log = StepLog(str(tmp_path), seconds_between=0.01)
    for number in range(1000):
        log.write(f"line {number}\n")
    wait_until(lambda: log._failed)
    is_away[0] = False
    log.end()
    said = text(tmp_path).splitlines()
    assert said[0].endswith("bytes were left out: the bucket did not answer]")
    assert said[-1] == "line 999"
    assert len(text(tmp_path)) < 1100


@pytest.fixture
def in_a_bucket(tmp_path: Path, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose bucket is a folder, which the log takes for one."""
    monkeypatch.setattr(storage, "is_remote", lambda url: url == str(tmp_path / "attempt"))
    made = make_settings()
    return Settings(job=made.job, attempt_url=str(tmp_path / "attempt"), work=made.work)


def test_what_a_step_prints_logs_and_dies_of_is_in_its_log(in_a_bucket: Settings) -> None:
    def step() -> None:
        with logged(in_a_bucket, "prepare") as log:
            assert log is not None
            sink = LogSink(log)
            sink.begin("prepare")
            sink.progress(1, 2, {"rows": 7})
            sys.stderr.write("a line of a library\n")
            logging.getLogger("trainer").warning("a warning")
            raise BadInput("2 rows are none", ["rows.jsonl:3: no JSON"])

    with pytest.raises(BadInput):
        step()
    said = text(Path(in_a_bucket.attempt_url) / bucket.log("prepare")).splitlines()
    assert [line.split("Z ")[-1] for line in said] == [
        "prepare begins",
        "prepare 1 of 2: rows 7",
        "a line of a library",
        "a warning",
        "rows.jsonl:3: no JSON",
        "2 rows are none",
    ]


def test_a_step_on_a_machine_of_its_own_keeps_no_log(make_settings: MakeSettings) -> None:
    with logged(make_settings(), "train") as log:
        assert log is None


def test_a_checkpoint_is_told_to_the_watcher_with_the_figures_of_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    sink, is_heard = StatusSink("http://127.0.0.1:1", None), iter([False, True, True])

    def send(*, metrics: object, **_: object) -> bool:
        if heard := next(is_heard):
            told.append(metrics)
        return heard

    monkeypatch.setattr(sink, "_send", send)
    for step in (10, 20):
        sink.record({"step": step, "loss": 1 / step})
        sink.record({"checkpointStep": step})
    sink.close()
    assert told == [{"step": step, "loss": 1 / step, "checkpointStep": step} for step in (10, 20)]
