"""Whether this machine has what a recipe asks for: a rule, and what it is asked of. Imports torch to look alone."""

import os
from dataclasses import dataclass
from importlib.util import find_spec

from trainer.contract.recipe import Recipe
from trainer.contract.steps import WITHOUT_GPUS
from trainer.outcomes import BadInput

_AMPERE = (8, 0)  # compute capability from which there are bf16 and FlashAttention


@dataclass(frozen=True)
class Hardware:
    """gpus: name and compute capability of each GPU that this process sees. is_stand_in: for one that has them."""

    gpus: tuple[tuple[str, tuple[int, int]], ...] = ()
    has_flash: bool = False
    is_stand_in: bool = False

    @classmethod
    def here(cls) -> "Hardware":
        import torch

        numbers = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
        gpus = [(torch.cuda.get_device_name(number), torch.cuda.get_device_capability(number)) for number in numbers]
        is_stand_in = not gpus and bool(os.environ.get(WITHOUT_GPUS))
        return cls(tuple(gpus), has_flash=find_spec("flash_attn") is not None, is_stand_in=is_stand_in)

    @property
    def oldest(self) -> tuple[str, tuple[int, int]] | None:
        """The GPU with the lowest compute capability; None without any."""
        return min(self.gpus, key=lambda gpu: gpu[1], default=None)


def refuse_absent_hardware(recipe: Recipe, hardware: Hardware | None = None) -> None:
    """Raise BadInput when the recipe is for a machine that this one (None: asked of torch) is not."""
    refuse_nowhere(recipe)
    found = hardware or Hardware.here()
    for is_absent, text in _absent(recipe, found):
        if is_absent:
            raise BadInput(f"recipe: {text}")


def refuse_nowhere(recipe: Recipe) -> None:
    """Raise BadInput when no machine can run the recipe."""
    if recipe.gpus_per_node == 0 and recipe.gpu_memory_fraction is not None:
        raise BadInput(
            "recipe: gpuMemoryFraction caps a GPU's memory and gpusPerNode is 0; leave gpuMemoryFraction out"
        )
    if recipe.gpus_per_node == 0 and recipe.attention == "flex":
        raise BadInput("recipe: attention flex has no backward pass on the CPU (torch 2.15); use sdpa")


def _absent(recipe: Recipe, found: Hardware) -> tuple[tuple[bool, str], ...]:
    name, capability = found.oldest or ("", _AMPERE)
    wanted, is_old = recipe.gpus_per_node, capability < _AMPERE
    shown = f"{name} (compute capability {capability[0]}.{capability[1]})"
    return (
        (
            wanted > len(found.gpus) and not found.is_stand_in,
            f"gpusPerNode is {wanted} and this machine has {len(found.gpus)} GPUs; use a recipe for that",
        ),
        (wanted > 0 and is_old and recipe.precision == "bf16", f"precision bf16 and {shown} do not fit; use fp16"),
        (wanted > 0 and is_old and recipe.attention == "flash", f"attention flash and {shown} do not fit; use sdpa"),
        (
            recipe.attention == "flash" and not found.has_flash,
            "attention flash needs the package flash-attn, which is not installed; install it, or use flex or sdpa",
        ),
    )
