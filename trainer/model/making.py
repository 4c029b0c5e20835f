"""The model of a recipe, ready to be trained or measured."""

from pathlib import Path

import torch

from trainer.contract.recipe import Recipe
from trainer.model import base
from trainer.model.adapter import Adapted
from trainer.model.shape import refuse_short_context
from trainer.model.tuned import Tuned
from trainer.model.whole import Whole


def tuned(folder: Path, recipe: Recipe, *, seed: int, device: torch.device | None = None) -> Tuned:
    """The base model in a verified folder, with what the recipe trains of it. device: the one at hand when absent.

    Raises BadInput when the recipe does not fit the base model.
    """
    refuse_short_context(folder, recipe.width)
    is_full = recipe.method == "full"
    model = base.load(
        folder,
        precision="fp32" if is_full else recipe.precision,
        attention=recipe.attention,
        four_bit=recipe.method == "qlora",
        device=device,
    )
    if recipe.activation_checkpointing:
        base.recompute_activations(model)
    return Whole(model, folder) if is_full else Adapted(model, recipe, seed=seed)
