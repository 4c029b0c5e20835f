"""What a trial tries, and the recipe it is trained by. Pure."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Hyperparameters, Recipe
from trainer.contract.search import Search, Space
from trainer.outcomes import BadInput
from trainer.recipes import changed, on_one_line

LEARNING_RATE = "learningRate"
Parameters = Mapping[str, int | float]  # of one trial, by their names in a recipe file

_EVER = 1000  # measurements: no training has as many, so it ends with its best weights and never before its last row
_STEPS_BETWEEN = 10  # where neither the recipe nor the pruning says how often to measure


def choices(space: Space, recipe: Recipe) -> dict[str, tuple[int | float, ...]]:
    """The finite parameters of the search; all weights of method `full` have neither rank nor dropout."""
    lora = {"rank": space.rank, "dropout": space.dropout} if recipe.method != "full" else {}
    return {name: tuple(values) for name, values in {**lora, "batchRows": space.batch_rows}.items() if values}


def first(space: Space, recipe: Recipe) -> dict[str, int | float]:
    """The recipe's own values, or those of the space that are nearest to them."""
    own = recipe.model_dump(by_alias=True)
    nearest = {
        name: min(values, key=lambda value: abs(value - own[name])) for name, values in choices(space, recipe).items()
    }
    return {LEARNING_RATE: within(own[LEARNING_RATE], space), **nearest}


def within(rate: float, space: Space) -> float:
    """A learning rate of three digits in the space's range."""
    return min(max(float(f"{rate:.3g}"), space.learning_rate.low), space.learning_rate.high)


def recipe_of_trial(job: TrainingJob, recipe: Recipe, parameters: Parameters) -> Recipe:
    """The job's recipe with the parameters. Raises BadInput when they cannot work together.

    The update's scale (alpha / rank) stays the recipe's, whatever the rank. Held-out loss is measured after as many
    rows in every trial, so that patience and rungs mean the same at each batch size; the best weights are kept.
    """
    try:
        asked = Hyperparameters.model_validate(parameters)
    except ValidationError as error:
        raise BadInput(f"trial: {on_one_line(error)}; mend search.space") from error
    tried = changed(recipe, asked, name=job.recipe)
    alpha = max(1, round(recipe.alpha * _growth(tried, recipe)))
    between = recipe.evaluate_steps or _between(job.search or Search())
    measured: dict[str, Any] = {
        "alpha": alpha,
        "evaluate_steps": max(1, round(between * recipe.batch_rows / tried.batch_rows)),
        "patience": recipe.patience or _EVER,
    }
    return tried.model_copy(update=measured)


def refuse_impossible(job: TrainingJob, recipe: Recipe) -> None:
    """Raises BadInput when a value of the space cannot work with the recipe: sooner than a trial finds out."""
    space = (job.search or Search()).space
    rates = {LEARNING_RATE: (space.learning_rate.low, space.learning_rate.high)}
    for name, values in {**rates, **choices(space, recipe)}.items():
        for value in values:
            try:
                recipe_of_trial(job, recipe, {**first(space, recipe), name: value})
            except BadInput as error:
                raise BadInput(f"search.space.{name}: {value:g} does not work: {error}") from error


def _growth(tried: Recipe, recipe: Recipe) -> float:
    growth = tried.rank / recipe.rank
    return growth**0.5 if recipe.rslora else growth


def _between(search: Search) -> int:
    return search.pruning.min_steps if search.pruning is not None else _STEPS_BETWEEN
