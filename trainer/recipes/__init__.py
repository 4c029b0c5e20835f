"""Recipes are data: one YAML file each; this reads them."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Hyperparameters, Recipe
from trainer.outcomes import BadInput

FOLDER = Path(__file__).parent


def recipe_of(job: TrainingJob) -> Recipe:
    """The job's recipe with the job's overrides. Raises BadInput for one that is not there, or cannot work so."""
    return changed(recipe_named(job.recipe), job.hyperparameters, name=job.recipe)


def recipe_named(name: str) -> Recipe:
    """A recipe as its file has it. Raises BadInput for one that is not there, or is faulty."""
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(path.stem for path in FOLDER.glob("*.yaml")))
        raise BadInput(f"recipe: {name!r} is not in trainer/recipes; use one of {known}")
    try:
        return Recipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise BadInput(f"recipe {name}: {on_one_line(error)}") from error


def changed(recipe: Recipe, hyperparameters: Hyperparameters, *, name: str) -> Recipe:
    """The recipe with a caller's overrides. Raises BadInput when together they cannot work."""
    try:
        return recipe.with_overrides(hyperparameters)
    except ValidationError as error:
        raise BadInput(f"recipe {name} with the job's hyperparameters: {on_one_line(error)}") from error


def on_one_line(error: ValidationError | yaml.YAMLError) -> str:
    """Each fault as `key: text`, on one line."""
    if isinstance(error, yaml.YAMLError):
        return " ".join(str(error).split())
    faults = [
        ": ".join([*(str(part) for part in fault["loc"]), fault["msg"].removeprefix("Value error, ")])
        for fault in error.errors(include_url=False)
    ]
    return "; ".join(faults)
