"""Recipes are data: one YAML file each; this reads them."""

from pathlib import Path

import yaml

from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Recipe
from trainer.outcomes import BadInput

FOLDER = Path(__file__).parent


def recipe_of(job: TrainingJob) -> Recipe:
    """The job's recipe with the job's overrides. Raises BadInput for a recipe that is not there."""
    path = FOLDER / f"{job.recipe}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(path.stem for path in FOLDER.glob("*.yaml")))
        raise BadInput(f"recipe: {job.recipe!r} is not in trainer/recipes; use one of {known}")
    recipe = Recipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    _refuse_what_is_not_built(job.recipe, recipe)
    return recipe.with_overrides(job.hyperparameters)


def _refuse_what_is_not_built(name: str, recipe: Recipe) -> None:
    """A recipe may be rendered before the trainer can run it."""
    for key, value, built in (
        ("method", recipe.method, "lora"),
        ("parallel", recipe.parallel, "single"),
        ("attention", recipe.attention, "sdpa"),
    ):
        if value != built:
            raise BadInput(f"recipe {name}: {key} {value} is not built into this trainer yet; use one with {built}")
