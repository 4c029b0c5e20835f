"""A training among full disks, object stores that fail and clocks that jump: nothing is lost, and it says why."""

import errno
import functools
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from threading import Event

import pytest

from trainer import storage
from trainer.contract import steps
from trainer.contract.report import Report
from trainer.durability.uploads import Uploads
from trainer.outcomes import BadInput, Killed, Stopped, Unavailable
from trainer.pipeline import run_step
from trainer.settings import Settings
from trainer.sinks import Metrics, Sinks
from trainer.tests.conftest import MakeSettings
from trainer.tests.faulty import Answer, Weather, always, before
from trainer.tests.killing import BUCKET

STEPS = 8


class _At(Sinks):
    """Does something when a step is over."""

    def __init__(self, step: int, act: Callable[[], object]) -> None:
        super().__init__()
        self._step, self._act = step, act

    def progress(self, done: int, total: int, metrics: Metrics) -> None:
        del total, metrics
        if done == self._step:
            self._act()


def _sigterm() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def weather(store: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Weather]:
    """The bucket behind a proxy; retries come at once."""
    monkeypatch.setattr("trainer.durability.checkpoint.Uploads", functools.partial(Uploads, pauses=(0.01, 0.01)))
    found = Weather()
    with before(store[steps.S3_URL], found) as endpoint:
        monkeypatch.setenv(steps.S3_URL, endpoint)
        yield found


@pytest.fixture
def remote(make_settings: MakeSettings, tmp_path: Path) -> Settings:
    """A prepared job whose attempt lives in the bucket."""
    local = make_settings("local")
    url = f"s3://{BUCKET}/jobs/{tmp_path.name}"
    return Settings(local.job, url, tmp_path / "work")


def _prepared(settings: Settings) -> Settings:
    run_step("prepare", settings, Sinks())
    return settings


def _report(settings: Settings) -> Report:
    return Report.model_validate_json(storage.read(f"{settings.attempt_url}/report.json") or b"")


def _steps_in_bucket(settings: Settings) -> list[str]:
    root = f"{settings.attempt_url}/checkpoints"
    return [name for name in storage.folders(root) if storage.is_complete(f"{root}/{name}")]


@pytest.mark.requirement("E78")
def test_steps_go_on_while_an_upload_is_on_its_way(weather: Weather, remote: Settings) -> None:
    _prepared(remote)
    is_over, waited = Event(), []

    def slow(method: str, path: str) -> Answer:
        if method == "PUT" and "/checkpoints/" in path:
            waited.append(is_over.wait(60))
        return "pass"

    weather.rule = slow
    run_step("train", remote, _At(STEPS, is_over.set))

    assert waited
    assert all(waited)
    assert _steps_in_bucket(remote)[-1] == "step-00000006"


@pytest.mark.requirement("D73")
@pytest.mark.parametrize("answer", ["refuse", "drop"])
def test_an_object_store_that_fails_midway_is_asked_again_and_the_training_goes_on(
    weather: Weather, remote: Settings, caplog: pytest.LogCaptureFixture, answer: Answer
) -> None:
    _prepared(remote)
    number = count(1)
    weather.rule = lambda _, path: answer if "/checkpoints/" in path and 3 <= next(number) <= 6 else "pass"
    run_step("train", remote, Sinks())

    assert weather.failed == 4
    assert _report(remote).status == "trained"
    assert _steps_in_bucket(remote)[-1] == "step-00000006"


@pytest.mark.requirement("D73")
def test_a_stop_without_an_object_store_is_a_kill_and_goes_on_from_the_disk(weather: Weather, remote: Settings) -> None:
    _prepared(remote)

    def storm() -> None:
        weather.rule = always("refuse")
        _sigterm()

    with pytest.raises(Killed, match=r"answered InternalError.*no checkpoint could be saved"):
        run_step("train", remote, _At(3, storm))
    weather.rule = always("pass")
    run_step("train", remote, Sinks())

    assert (_report(remote).status, _report(remote).resumed_from) == ("trained", 3)


def test_an_object_store_that_is_dead_at_the_end_fails_the_step_and_loses_nothing(
    weather: Weather, remote: Settings
) -> None:
    _prepared(remote)

    def storm() -> None:
        weather.rule = always("drop")

    with pytest.raises(Unavailable, match="does not answer"):
        run_step("train", remote, _At(STEPS, storm))
    weather.rule = always("pass")
    run_step("train", remote, Sinks())

    assert (_report(remote).status, _report(remote).resumed_from) == ("trained", 6)


def test_a_refused_stranger_learns_no_secret(
    weather: Weather, remote: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from trainer.objects import _client

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t-of-nobody")
    _client.cache_clear()
    with pytest.raises(BadInput, match="the object store refused it") as refused:
        run_step("train", remote, Sinks())
    _client.cache_clear()

    assert "s3cr3t" not in f"{refused.value} {refused.value.__cause__} {caplog.text}"


@pytest.mark.requirement("D73")
def test_a_clock_that_jumps_by_years_changes_nothing(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("steady", "jumping"):
        _prepared(make_settings(name))
    run_step("train", make_settings("steady"), Sinks())
    jumps = count()
    monkeypatch.setattr(time, "time", lambda: 1e9 + (-1) ** next(jumps) * 1e8)
    run_step("train", make_settings("jumping"), Sinks())
    steady, jumping = (_report(make_settings(name)) for name in ("steady", "jumping"))

    assert jumping.adapter_digest == steady.adapter_digest
    assert 0 < jumping.seconds < 600
    assert 0 <= jumping.usage.cpu_seconds < 600


FOLDERS = {
    "read-only file system": (errno.EROFS, BadInput),
    "another user's": (errno.EACCES, BadInput),
    "full disk": (errno.ENOSPC, Unavailable),
}


@pytest.mark.parametrize(("number", "outcome"), FOLDERS.values(), ids=FOLDERS)
def test_a_folder_that_cannot_be_made_says_why(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, number: int, outcome: type[Exception]
) -> None:
    def refused(self: Path, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(outcome, match=r"cannot be made .* give another folder"):
        run_step("train", make_settings(), Sinks())


def test_a_file_in_the_place_of_the_folder_is_bad_input(make_settings: MakeSettings, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")

    with pytest.raises(BadInput, match="give another folder"):
        run_step("train", make_settings(), Sinks())


def test_a_file_named_save_now_brings_a_checkpoint_at_the_next_step(make_settings: MakeSettings) -> None:
    settings = _prepared(make_settings())
    wish = Path(settings.attempt_url) / "SAVE_NOW"
    with pytest.raises(Stopped):  # the stop shows what was there before it
        run_step("train", settings, _Wished(wish))

    assert not wish.exists()


class _Wished(Sinks):
    """Wishes a checkpoint after the first step; ends the training once it is seen, two steps later."""

    def __init__(self, wish: Path) -> None:
        super().__init__()
        self._wish = wish

    def progress(self, done: int, total: int, metrics: Metrics) -> None:
        del total, metrics
        if done == 1:
            self._wish.touch()
        if done == 2:
            assert (self._wish.parent / "checkpoints/step-00000001/MANIFEST.json").exists()
            _sigterm()
