"""A request to end never ends in 0: 75 with a checkpoint, 143 without one, whenever it comes and however often."""

import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from trainer.__main__ import ended
from trainer.contract.checks import Checks
from trainer.contract.report import Report
from trainer.contract.steps import Exit
from trainer.durability.interruption import Interruption, SaveRequest, or_killed, signals_end_the_step, told, watched
from trainer.outcomes import Killed, Stopped, Unavailable
from trainer.pipeline import run_step
from trainer.settings import Settings
from trainer.sinks import Sinks
from trainer.tests.conftest import MakeSettings
from trainer.tests.dying import Death, Surroundings, exit_code, start

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
TERM = signal.SIGTERM
FULL = Surroundings(file_bytes=20_000)  # holds a report, not the tensors


def _report(settings: Settings) -> Report:
    return Report.model_validate_json((Path(settings.attempt_url) / "report.json").read_text())


def _ran(settings: Settings, *names: str) -> Settings:
    for name in names:
        run_step(name, settings, Sinks())
    return settings


MOMENTS = {
    "while the base model loads": (Death("load", 1, TERM), 0),
    "while it looks for a checkpoint": (Death("resuming", 3, signal.SIGUSR1), 0),
    "before the first step": (Death("micro-step", 1, TERM), 0),
    "twice, again while it saves": (Death("micro-step", 3, TERM, then=Death("saving", 20, TERM)), 1),
    "while a due checkpoint is saved, and again": (
        Death("saving", 5, TERM, then=Death("saving", 40, signal.SIGINT)),
        2,
    ),
}


@pytest.mark.requirement("E78")
@pytest.mark.parametrize(("death", "step"), MOMENTS.values(), ids=MOMENTS)
def test_a_training_that_is_asked_to_stop_saves_and_ends_with_75(
    make_settings: MakeSettings, recipes: Path, death: Death, step: int
) -> None:
    settings = _ran(make_settings(), "prepare")

    assert exit_code(start("train", settings, recipes, death)) == Exit.STOPPED
    assert _report(settings).steps == step
    _ran(settings, "train")
    assert _report(settings).resumed_from == step


@pytest.mark.requirement("E78")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_preparation_that_is_asked_to_stop_ends_with_143_and_begins_anew(
    make_settings: MakeSettings, recipes: Path, number: signal.Signals
) -> None:
    settings = make_settings()

    assert exit_code(start("prepare", settings, recipes, Death("preparing", 60, number))) == Exit.KILLED
    _ran(settings, "prepare")
    assert _report(settings).status == "prepared"


@pytest.mark.requirement("E78")
def test_an_evaluation_that_is_asked_to_stop_does_not_end_in_0_and_goes_on(
    make_settings: MakeSettings, recipes: Path
) -> None:
    settings = _ran(make_settings(checks=Checks(generations=0)), "prepare", "train")

    assert exit_code(start("evaluate", settings, recipes, Death("held-out row", 1, TERM))) in {
        Exit.STOPPED,
        Exit.KILLED,
    }
    assert exit_code(start("evaluate", settings, recipes, Death())) == Exit.DONE
    assert _report(settings).status == "evaluated"


def test_a_stop_on_a_full_disk_is_a_kill(make_settings: MakeSettings, recipes: Path) -> None:
    settings = _ran(make_settings(), "prepare")

    assert exit_code(start("train", settings, recipes, Death("micro-step", 3, TERM), around=FULL)) == Exit.KILLED
    _ran(settings, "train")
    assert (_report(settings).status, _report(settings).resumed_from) == ("trained", None)


def test_a_full_disk_ends_a_training_with_1_and_it_goes_on_from_the_last_checkpoint(
    make_settings: MakeSettings, recipes: Path
) -> None:
    settings = _ran(make_settings(), "prepare")

    assert exit_code(start("train", settings, recipes, Death("none"), around=FULL)) == Exit.FAILED
    _ran(settings, "train")
    assert _report(settings).status == "trained"


def test_polled_items_end_once_asked_to_stop() -> None:
    interruption = Interruption()
    items = interruption.polled(range(5))
    assert [next(items), next(items)] == [0, 1]
    interruption.request()

    with pytest.raises(Killed, match="begins anew"):
        next(items)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_watched_signal_only_sets_the_flag_and_the_old_answer_comes_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with watched() as interruption:
        assert not interruption.requested
        signal.raise_signal(number)
        signal.raise_signal(number)
        assert interruption.requested

    assert signal.getsignal(number) == before


def test_a_wish_for_a_checkpoint_is_granted_once(tmp_path: Path) -> None:
    wish = SaveRequest(tmp_path)
    assert not wish.taken()
    (tmp_path / "SAVE_NOW").touch()

    assert [wish.taken(), wish.taken()] == [True, False]


def test_what_cannot_be_saved_makes_a_stop_a_kill() -> None:
    with pytest.raises(Killed, match="free the disk; asked to stop, and no checkpoint could be saved"), or_killed():
        raise Unavailable("full; free the disk")


def test_a_stop_that_hangs_has_an_end() -> None:
    ended = Event()
    with watched(within=0.01, end=ended.set):
        signal.raise_signal(TERM)
        assert ended.wait(30)


def test_a_training_that_nobody_stops_has_none() -> None:
    ended = Event()
    with watched(within=0.01, end=ended.set):
        assert not ended.wait(0.2)


@pytest.fixture
def signals_end() -> Iterator[None]:
    """As in a process of the trainer."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signals_end_the_step()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals_end")
def test_a_second_signal_after_a_stop_changes_no_outcome() -> None:
    def step() -> int | None:
        with watched():
            signal.raise_signal(TERM)
        assert told()
        signal.raise_signal(TERM)  # while the sinks close
        raise Stopped("step 3 is saved")

    assert ended(step) == Exit.STOPPED


@pytest.mark.usefixtures("signals_end")
@pytest.mark.parametrize("number", SIGNALS)
def test_signals_while_an_outcome_is_told_change_nothing(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def again(code: Exit, *lines: str) -> Exit:
        del lines
        signal.raise_signal(number)
        return code

    monkeypatch.setattr("trainer.__main__._say", again)

    def step() -> int | None:
        signal.raise_signal(TERM)
        return None

    assert ended(step) == Exit.KILLED


@pytest.mark.usefixtures("signals_end")
def test_a_first_signal_still_ends_a_step_that_saves_nothing() -> None:
    with pytest.raises(Killed, match="begins anew"):
        signal.raise_signal(TERM)
