"""Names of the recipes that ship with the trainer. Read as package data; the trainer itself is not imported."""

from functools import cache
from importlib.resources import files


@cache
def recipe_names() -> tuple[str, ...]:
    """Stems of trainer/recipes/*.yaml, sorted."""
    folder = files("trainer") / "recipes"
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")))
