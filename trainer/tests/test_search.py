"""A search for hyperparameters on the toy: rounds, trials that die, and what is there in the end."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from trainer import trial
from trainer.attempt import AttemptFolder
from trainer.contract.recipe import Hyperparameters
from trainer.contract.report import Report
from trainer.contract.search import Budget, Pruning, Range, Search, Space
from trainer.contract.steps import ROUND_FIRST, ROUND_TRIALS, Exit
from trainer.outcomes import BadInput
from trainer.pipeline import run_step
from trainer.publishing.manifest import verify
from trainer.searching.limit import Limit
from trainer.searching.outcome import recipe_trained
from trainer.searching.trials import Result, Trials
from trainer.settings import Settings
from trainer.sinks import Sinks, making
from trainer.tests.conftest import MakeSettings
from trainer.tests.dying import Death, exit_code, start

SEARCH = Search(
    space=Space(learning_rate=Range(low=1e-3, high=5e-2), rank=(2, 4), batch_rows=(2, 4)),
    budget=Budget(trials=3),
    pruning=Pruning(min_steps=2, reduction=2),
    parallel=2,
)
NEVER = Death()


@pytest.fixture
def searching(make_settings: MakeSettings) -> Callable[..., Settings]:
    """Settings of a search with its rows prepared."""

    def make(name: str = "out", search: Search = SEARCH, **changes: Any) -> Settings:
        changed = {"search": search, "hyperparameters": Hyperparameters(max_steps=6), **changes}
        found = make_settings(name, **changed)
        run_step("prepare", found, Sinks())
        return found

    return make


def asked(settings: Settings) -> range:
    run_step("search", settings, Sinks())
    first, trials = (int((settings.work / name).read_text()) for name in (ROUND_FIRST, ROUND_TRIALS))
    return range(first, first + trials)


def rounds(settings: Settings) -> Iterator[Settings]:
    """Each trial's settings, to the end of the search."""
    while numbers := asked(settings):
        for number in numbers:
            yield replace(settings, trial=number)


def whole(settings: Settings) -> Path:
    for each in rounds(settings):
        run_step("trial", each, Sinks())
    return Path(settings.attempt_url)


def report(out: Path) -> Report:
    return Report.model_validate_json((out / "report.json").read_bytes())


@pytest.mark.requirement("E86")
def test_a_search_leaves_the_best_trials_adapter_as_a_training_by_its_recipe_does(
    searching: Callable[..., Settings], recipes: Path, make_settings: MakeSettings
) -> None:
    settings = searching()
    out = whole(settings)
    found = json.loads((out / "search.json").read_text())
    losses = [each["loss"] for each in found["trials"] if each["state"] == "finished"]

    assert len(found["trials"]) == 3
    assert found["trials"][found["best"]]["loss"] == min(losses)
    assert found["states"].get("pruned", 0) >= 1
    assert report(out).status == "trained"
    assert report(out).usage.cpu_seconds > sum(each["rankSeconds"] for each in found["trials"]) / 10
    assert b"PED-ANOVA" in (out / "importance.svg").read_bytes() or not found["importance"]
    assert not list(out.glob("trials/*/checkpoints/*"))

    shutil.copy(out / "best.yaml", recipes / "best.yaml")
    alone = make_settings("alone", recipe="best", hyperparameters=Hyperparameters())
    for step in ("prepare", "train"):
        run_step(step, alone, Sinks())
    assert report(Path(alone.attempt_url)).adapter_digest == report(out).adapter_digest

    run_step("evaluate", settings, Sinks())
    assert report(out).loss_after == pytest.approx(min(losses), abs=1e-4)
    assert (
        recipe_trained(settings.job, AttemptFolder.of(settings)).rank
        == yaml.safe_load((out / "best.yaml").read_text())["rank"]
    )
    assert not asked(settings)  # again, and nothing changes


@pytest.mark.model
@pytest.mark.requirement("E86")
def test_a_search_whose_trials_and_steps_are_killed_comes_to_the_same_end(
    searching: Callable[..., Settings], recipes: Path
) -> None:
    undisturbed, killed = searching("undisturbed"), searching("killed")
    expected = whole(undisturbed)
    first = asked(killed)
    assert first == asked(killed)  # the step was killed after it wrote, and starts again

    stop = Death(number=3, with_signal=signal.SIGTERM)
    assert exit_code(start("trial", replace(killed, trial=0), recipes, stop)) == Exit.STOPPED
    assert not (Path(killed.attempt_url) / "trials/0/result.json").exists()
    assert asked(killed) == first
    assert exit_code(start("trial", replace(killed, trial=0), recipes, NEVER)) == Exit.DONE
    assert exit_code(start("trial", replace(killed, trial=1), recipes, Death(number=1))) == -signal.SIGKILL
    assert asked(killed) == range(1, 2)
    out = whole(killed)

    assert proposals(out) == proposals(expected)
    assert (out / "best.yaml").read_bytes() == (expected / "best.yaml").read_bytes()
    assert report(out).adapter_digest == report(expected).adapter_digest


def proposals(out: Path) -> list[dict[str, float]]:
    folders = sorted((out / "trials").iterdir())
    return [json.loads((folder / "proposal.json").read_text())["parameters"] for folder in folders]


def test_a_later_attempt_repeats_no_trial_of_an_earlier_one(searching: Callable[..., Settings]) -> None:
    search = SEARCH.model_copy(update={"budget": Budget(trials=1)})
    earlier = searching("1", search)
    assert asked(earlier) == range(1)
    run_step("trial", replace(earlier, trial=0), Sinks())
    later = replace(searching("2", search), older_urls=(earlier.attempt_url,))

    assert not asked(later)
    out = Path(later.attempt_url)
    assert verify(out / "adapter") == verify(Path(earlier.attempt_url) / "trials/0/adapter")
    assert (report(out).status, report(out).steps) == ("trained", 6)


def test_a_trial_whose_time_is_used_up_ends_with_its_best_so_far(
    searching: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    search = SEARCH.model_copy(
        update={"budget": Budget(trials=1, gpu_hours=30 / 3600), "pruning": Pruning(min_steps=2)}
    )
    ticks = iter(range(1000))
    monkeypatch.setattr(trial, "Limit", partial(Limit, clock=lambda: float(next(ticks))))
    settings = searching(search=search, hyperparameters=Hyperparameters(max_steps=40, epochs=10))

    out = whole(settings)
    result = Result.model_validate_json((out / "trials/0/result.json").read_bytes())

    assert result.state == "outOfTime"
    assert 0 < result.steps < 40
    assert report(out).best_step in range(1, result.steps + 1)
    assert json.loads((out / "search.json").read_text())["rankSeconds"] <= 30


def test_trials_that_all_fail_end_the_search_with_their_reasons(searching: Callable[..., Settings]) -> None:
    settings = searching()
    trials = Trials.of(settings, AttemptFolder.of(settings))
    while len(numbers := asked(settings)) and numbers.stop < 3:
        for number in numbers:
            trials.end(number, Result(state="failed", reason=f"no luck {number}"))
    for number in numbers:
        trials.end(number, Result(state="failed", reason=f"no luck {number}"))

    with pytest.raises(BadInput, match="no trial came to a held-out loss") as raised:
        run_step("search", settings, Sinks())
    assert "trial 1: no luck 1" in raised.value.details


def test_a_trial_that_never_comes_to_an_end_is_taken_for_failed(searching: Callable[..., Settings]) -> None:
    settings = searching()

    assert [asked(settings) for _ in range(5)] == [range(2)] * 5
    assert asked(settings) == range(2, 3)


@pytest.mark.parametrize(
    ("step", "changes", "text"),
    [
        ("search", {"search": None}, "the job asks for none; add `search:` to it"),
        ("search", {"search": Search(space=Space(rank=(8, 300)))}, "search.space.rank: 300 does not work"),
        ("evaluate", {}, "has no best.yaml; run the step search to its end first"),
        ("trial", {}, "TENON_TRIAL: not set"),
        ("trial", {"trial": 7}, "trials/7: nobody proposed this trial; run the step search first"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    searching: Callable[..., Settings], step: str, changes: dict[str, Any], text: str
) -> None:
    settings = searching(**{name: value for name, value in changes.items() if name == "search"})

    with pytest.raises(BadInput, match=text):
        run_step(step, replace(settings, trial=changes.get("trial")), Sinks())


def test_charts_show_each_trial_as_a_run_of_its_own(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []
    monkeypatch.setattr(making, "TrackerSink", lambda make, folder, _: seen.append((make.args[0].name, folder.name)))

    for settings in (make_settings(), replace(make_settings(), trial=3)):
        making._tracker("mlflow", settings, {})

    assert seen == [("local-1", "mlflow"), ("local-1-t3", "mlflow-t3")]
