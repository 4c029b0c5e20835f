"""Recipes that ship with the trainer, read as package data; the trainer itself is not imported."""

from functools import cache
from importlib.resources import files

import yaml

from trainer.contract.recipe import Recipe


@cache
def recipe_names() -> tuple[str, ...]:
    """Stems of trainer/recipes/*.yaml, sorted."""
    folder = files("trainer") / "recipes"
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")))


@cache
def recipe(name: str) -> Recipe:
    """One recipe by its name. Raises FileNotFoundError for a name that `recipe_names` does not hold."""
    text = (files("trainer") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
    return Recipe.model_validate(yaml.safe_load(text))
