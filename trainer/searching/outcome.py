"""What a search leaves: the best adapter where `train` leaves its own, its recipe, and a table of all trials."""

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from trainer import storage
from trainer.attempt import AttemptFolder
from trainer.contract.bucket import ADAPTER, BEST_RECIPE, IMPORTANCE, MANIFEST, METRICS, REPORT, TRIALS, TRIALS_TABLE
from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Recipe
from trainer.contract.report import Report, Usage
from trainer.outcomes import BadInput, Unavailable
from trainer.publishing.manifest import to_json, write_whole
from trainer.recipes import recipe_of
from trainer.searching.budget import seconds_of
from trainer.searching.space import LEARNING_RATE, recipe_of_trial
from trainer.searching.trials import Trial


def best_of(trials: Sequence[Trial]) -> Trial:
    """The lowest held-out loss, of several the first. Raises BadInput, with the reasons, when none has a loss."""
    whole = [trial for trial in trials if trial.loss is not None and trial.result and trial.result.state != "pruned"]
    if not whole:
        reasons = [f"trial {trial.number}: {trial.result.reason}" for trial in trials if trial.result]
        text = "search: no trial came to a held-out loss; mend the reasons above, or widen the budget"
        raise BadInput(text, reasons or ["the budget holds not even one trial"])
    return min(whole, key=lambda trial: (trial.loss, trial.number))


def recipe_trained(job: TrainingJob, attempt: AttemptFolder) -> Recipe:
    """The recipe of the attempt's adapter: the job's own, or after a search the best trial's. Raises BadInput."""
    if job.search is None:
        return recipe_of(job)
    content = attempt.read(BEST_RECIPE)
    if content is None:
        raise BadInput(f"{attempt.url or attempt.local}: has no {BEST_RECIPE}; run the step search to its end first")
    try:
        return Recipe.model_validate(yaml.safe_load(content))
    except (ValidationError, yaml.YAMLError) as error:
        raise BadInput(f"{BEST_RECIPE}: is no recipe ({' '.join(str(error).split())}); run the search again") from error


def best_yaml(job: TrainingJob, trial: Trial, *, trials: int) -> str:
    """A recipe file: by it, the data and the seed of the job, `train` comes to the trial's adapter."""
    assert trial.result is not None  # noqa: S101 - the best one has a result
    recipe = recipe_of_trial(job, recipe_of(job), trial.proposal.parameters)
    document = recipe.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    document |= {name: recipe.model_dump(by_alias=True)[name] for name in trial.proposal.parameters}
    cut = "" if trial.result.state == "finished" else " (its time was used up before its last step)"
    header = [
        f"Recipe {job.recipe} with the best of {trials} trials: number {trial.number}, held-out loss {trial.loss:.4f}",
        f"after {trial.result.steps} steps{cut}. Assumes the hardware of {job.recipe}, the data it was searched on,",
        f"and seed {job.seed}.",
    ]
    return "".join(f"# {line}\n" for line in header) + yaml.safe_dump(document, sort_keys=False)


def table(job: TrainingJob, trials: Sequence[Trial], *, importance: Mapping[str, float], best: Trial) -> dict[str, Any]:
    """search.json. Money where the price of an hour is known."""
    assert job.search is not None  # noqa: S101 - of a search
    budget, spent = job.search.budget, sum(trial.rank_seconds for trial in trials)
    allowed, states = seconds_of(budget), [trial.result.state if trial.result else "failed" for trial in trials]
    rows = [
        {
            "number": trial.number,
            "parameters": trial.proposal.parameters,
            "state": state,
            "loss": trial.loss,
            "steps": trial.result.steps if trial.result else 0,
            "rankSeconds": round(trial.rank_seconds, 3),
            "reason": trial.result.reason if trial.result else "it brought no result, however often it was begun",
        }
        for trial, state in zip(trials, states, strict=True)
    ]
    price = float(budget.cost_per_hour) if budget.cost_per_hour is not None else None
    return {
        "best": best.number,
        "trials": rows,
        "states": {state: states.count(state) for state in sorted(set(states))},
        "prunedShare": round(states.count("pruned") / len(states), 4),
        "importance": {name: round(share, 4) for name, share in importance.items()},
        "rankSeconds": round(spent, 3),
        "rankSecondsAllowed": None if math.isinf(allowed) else round(allowed, 3),
        "cost": None if price is None else round(spent / 3600 * price, 4),
        "costAllowed": None if budget.cost is None else float(budget.cost),
    }


def place(attempt: AttemptFolder, best: Trial) -> Report:
    """Bring the best trial's adapter and metrics where `train` leaves its own; its report. Raises Unavailable."""
    local = attempt.local / TRIALS / str(best.number)
    folder = storage.fetch_folder(f"{best.url}/{ADAPTER}", local / ADAPTER)
    target = attempt.local / ADAPTER
    shutil.rmtree(target, ignore_errors=True)
    try:
        shutil.copytree(folder, target, ignore=shutil.ignore_patterns(MANIFEST))
        write_whole(target / MANIFEST, (folder / MANIFEST).read_bytes())
        write_whole(attempt.local / METRICS, storage.read(f"{best.url}/{METRICS}") or b"")
    except OSError as error:
        raise Unavailable(f"{target}: cannot be written ({error.strerror}); free the disk") from error
    attempt.push_folder(ADAPTER)
    attempt.push_file(METRICS)
    return Report.model_validate_json(storage.read(f"{best.url}/{REPORT}") or b"")


def write_outcome(
    job: TrainingJob, attempt: AttemptFolder, trials: Sequence[Trial], *, importance: Mapping[str, float]
) -> Report:
    """Everything, the report apart, which says that the rest is there. Raises BadInput and Unavailable."""
    from trainer.searching.picture import picture

    best = best_of(trials)
    report = place(attempt, best)
    tried = [(trial.proposal.parameters[LEARNING_RATE], trial.loss) for trial in trials if trial.loss is not None]
    files = {
        TRIALS_TABLE: to_json(table(job, trials, importance=importance, best=best)).encode(),
        IMPORTANCE: picture(importance, tried),
        BEST_RECIPE: best_yaml(job, best, trials=len(trials)).encode(),
    }
    for name, content in files.items():
        _write(attempt.local / name, content)
        attempt.push_file(name)
    return report


def with_usage(report: Report, usage: Usage) -> Report:
    """The report of the best trial as the attempt's own."""
    return report.model_copy(update={"status": "trained", "usage": usage})


def _write(path: Path, content: bytes) -> None:
    try:
        write_whole(path, content)
    except OSError as error:
        raise Unavailable(f"{path}: cannot be written ({error.strerror}); free the disk") from error
