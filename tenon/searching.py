"""`tenon train SPEC` with `search:` in the spec: rounds of trials on this machine, one trial after another."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tenon.output import answer_table, answer_text, console
from trainer.contract.bucket import BEST_RECIPE, TRIALS_TABLE
from trainer.contract.steps import ROUND_FIRST, ROUND_TRIALS, SEARCH, TRIAL, TRIAL_NUMBER, Exit

if TYPE_CHECKING:
    from trainer.settings import Settings
    from trainer.sinks import Sink

_PARTS = 1000  # of a trial, on the one bar of the search


def search(settings: "Settings", divided: Mapping[str, str]) -> int:
    """All rounds; exit code of the step that ended them, 0 once the best adapter is where `train` leaves its own.

    divided: environment of the ranks that share each trial. Raises what the steps raise, but for a trial that failed:
    that is a result like any other.
    """
    from trainer.launch import is_needed, launch
    from trainer.outcomes import BadInput
    from trainer.pipeline import run_step
    from trainer.sinks.making import opened

    assert settings.job.search is not None  # noqa: S101 - the caller asks
    with opened(settings, os.environ, console(stderr=True)) as sinks:
        sinks.begin("search")
        while numbers := _next_round(settings):
            for number in numbers:
                told = _OnOneBar(sinks, number, settings.job.search.budget.trials)
                code = 0
                try:
                    if is_needed(TRIAL.name, divided):
                        code = launch(TRIAL.name, {**divided, TRIAL_NUMBER: str(number)})
                    else:
                        run_step(TRIAL.name, replace(settings, trial=number), told)
                except BadInput:
                    code = Exit.BAD_INPUT
                if code not in {Exit.DONE, Exit.BAD_INPUT}:
                    return code
    return 0


def show_search(out: Path) -> None:
    """What was tried, and the best recipe."""
    table = yaml.safe_load((out / TRIALS_TABLE).read_text(encoding="utf-8"))
    names = list(table["trials"][0]["parameters"])
    rows = [
        (each["number"], *(each["parameters"][name] for name in names), each["state"], _loss(each), each["rankSeconds"])
        for each in table["trials"]
    ]
    answer_table("trials", ("trial", *names, "state", "held-out loss", "seconds"), rows)
    answer_text(f"{out / BEST_RECIPE}:\n{(out / BEST_RECIPE).read_text(encoding='utf-8')}")


def _loss(trial: Mapping[str, Any]) -> str:
    return "" if trial["loss"] is None else f"{trial['loss']:.4f}"


def _next_round(settings: "Settings") -> range:
    from trainer.pipeline import run_step
    from trainer.sinks import Sinks

    run_step(SEARCH.name, settings, Sinks())
    first, trials = (int((settings.work / name).read_text()) for name in (ROUND_FIRST, ROUND_TRIALS))
    return range(first, first + trials)


@dataclass(frozen=True)
class _OnOneBar:
    """The sink of one trial: its steps as a part of the search's bar."""

    sinks: "Sink"
    number: int
    trials: int

    def begin(self, step: str) -> None:
        """Nothing: the search has begun."""

    def progress(self, done: int, total: int, metrics: Mapping[str, object]) -> None:
        part = self.number * _PARTS + done * _PARTS // max(total, 1)
        self.sinks.progress(part, self.trials * _PARTS, {"trial": self.number, **metrics})

    def record(self, line: Mapping[str, Any]) -> None:
        self.sinks.record(line)

    def finish(self, metrics: Mapping[str, object]) -> None:
        """Nothing: the search goes on."""
