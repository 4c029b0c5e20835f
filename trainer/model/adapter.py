"""LoRA on a base model, in peft's file form. The only module that imports peft.

Adapter weights are fp32 whatever the base's precision: small updates vanish in bf16.
"""

import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from trainer.contract.recipe import Recipe
from trainer.model.tuned import put, trained, whole
from trainer.outcomes import BadInput
from trainer.publishing.manifest import seal, sha256_of, to_json

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
_ALL_LINEAR = "all-linear"
_PACKING = "support_avx512bf16_for_cpu"  # of bitsandbytes' 4-bit layers


class Adapted:
    """A base model with one LoRA adapter."""

    def __init__(self, base: torch.nn.Module, recipe: Recipe, *, seed: int) -> None:
        """Raises BadInput when the recipe's targets are not in the base model."""
        from peft import LoraConfig, get_peft_model

        for module in base.modules():
            if hasattr(module, _PACKING):
                # Measured once on a CPU, they would change to a kernel that has no gradients, and stay there.
                setattr(module, _PACKING, False)
        torch.manual_seed(seed)  # of the A matrices; B begins at zero
        targets: Any = _ALL_LINEAR if recipe.targets == (_ALL_LINEAR,) else list(recipe.targets)
        config = LoraConfig(
            r=recipe.rank,
            lora_alpha=recipe.alpha,
            lora_dropout=recipe.dropout,
            use_rslora=recipe.rslora,
            use_dora=recipe.dora,
            target_modules=targets,
            task_type="CAUSAL_LM",
        )
        try:
            with warnings.catch_warnings():  # peft asks transformers by a name that is going away
                warnings.simplefilter("ignore", FutureWarning)
                self._model: Any = get_peft_model(base, config, autocast_adapter_dtype=True)
        except ValueError as error:
            raise BadInput(f"recipe targets {list(recipe.targets)}: {error}; name modules of the base model") from error
        self._recipe = recipe

    @property
    def parameters(self) -> dict[str, torch.nn.Parameter]:
        return trained(self._model.named_parameters())

    @property
    def total_parameters(self) -> int:
        return int(self._model.get_nb_trainable_parameters()[1])  # two weights to a byte of 4-bit ones

    @property
    def causal(self) -> Any:
        """The base model with the adapter in its layers."""
        return self._model.get_base_model()

    def training(self, *, mode: bool) -> None:
        """Dropout on or off."""
        self._model.train(mode)

    def without(self) -> AbstractContextManager[None]:
        """While it lasts, the base model alone."""
        context: AbstractContextManager[None] = self._model.disable_adapter()
        return context

    def state(self) -> dict[str, torch.Tensor]:
        return {name: whole(weight) for name, weight in self.parameters.items()}

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        put(self.parameters, tensors)

    def save(self, folder: Path, facts: Mapping[str, Any], *, state: Mapping[str, torch.Tensor] | None = None) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {_in_file(name): weight for name, weight in (state or self.state()).items()}
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
        targets = sorted({name.rsplit(".lora_", 1)[0].rsplit(".", 1)[1] for name in tensors})
        (folder / CONFIG).write_text(to_json(_config(self._recipe, targets, facts)), encoding="utf-8")
        seal(folder, facts)
        return sha256_of(folder / WEIGHTS)

    def load(self, folder: Path) -> None:
        names = {_in_file(name): name for name in self.parameters}
        tensors = load_file(folder / WEIGHTS)
        if unknown := sorted(tensors.keys() - names.keys()):
            raise BadInput(
                f"{folder / WEIGHTS}: {unknown[0]} is no weight of this base model and recipe; use the adapter's own"
            )
        try:
            self.load_state({names[name]: tensor for name, tensor in tensors.items()})
        except BadInput as error:
            raise BadInput(f"{folder / WEIGHTS}: {error}") from error


def _in_file(name: str) -> str:
    """A weight's name in peft's file: without the name that an adapter has in a process, `default`."""
    return name.replace("lora_magnitude_vector.default.weight", "lora_magnitude_vector").replace(".default.", ".")


def _config(recipe: Recipe, targets: list[str], facts: Mapping[str, Any]) -> dict[str, Any]:
    """adapter_config.json as peft and vLLM read it, without paths and library versions."""
    return {
        "base_model_name_or_path": facts["baseDigest"],
        "bias": "none",
        "inference_mode": True,
        "lora_alpha": recipe.alpha,
        "lora_dropout": recipe.dropout,
        "peft_type": "LORA",
        "r": recipe.rank,
        "target_modules": targets,
        "task_type": "CAUSAL_LM",
        "use_dora": recipe.dora,
        "use_rslora": recipe.rslora,
    }
