"""The model of a recipe, ready to be trained or measured."""

from pathlib import Path

import torch

from trainer.contract.recipe import Recipe
from trainer.model import base
from trainer.model.adapter import Adapted
from trainer.model.tuned import Tuned


def tuned(folder: Path, recipe: Recipe, *, seed: int, device: torch.device | None = None) -> Tuned:
    """The base model in a verified folder, with what the recipe trains of it. device: the one at hand when absent.

    Raises BadInput when the recipe does not fit the base model.
    """
    del device
    return Adapted(base.load(folder, precision=recipe.precision), recipe, seed=seed)
