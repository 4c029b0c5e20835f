"""Every weight of a base model in training. Weights are fp32; the arithmetic is the recipe's, under autocast."""

import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from trainer.contract.bucket import MANIFEST
from trainer.model.tuned import put, trained, whole
from trainer.outcomes import BadInput
from trainer.publishing.manifest import seal, sha256_of

WEIGHTS = "model.safetensors"
_DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}  # safetensors' names


class Whole:
    """A base model all of whose weights are trained. It is saved as a base model is: a folder that loads by itself."""

    def __init__(self, base: torch.nn.Module, folder: Path) -> None:
        """folder: of the base model, whose configuration, tokenizer and precision the tuned one keeps."""
        self._model: Any = base.float().requires_grad_(requires_grad=True)
        self._folder = folder

    @property
    def parameters(self) -> dict[str, torch.nn.Parameter]:
        return trained(self._model.named_parameters())

    @property
    def total_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self._model.parameters())

    @property
    def causal(self) -> Any:
        return self._model

    def training(self, *, mode: bool) -> None:
        self._model.train(mode)

    def without(self) -> AbstractContextManager[None]:
        raise NotImplementedError("method full keeps no untrained weights; measure the base before the tuned ones load")

    def state(self) -> dict[str, torch.Tensor]:
        return {name: whole(weight) for name, weight in self.parameters.items()}

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        put(self.parameters, tensors)

    def save(self, folder: Path, facts: Mapping[str, Any], *, state: Mapping[str, torch.Tensor] | None = None) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        dtypes = _dtypes(self._folder)
        tensors = {name: weight.to(dtypes.get(name)) for name, weight in (state or self.state()).items()}
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
        for path in sorted(self._folder.iterdir()):  # configuration, tokenizer, template
            if path.is_file() and ".safetensors" not in path.name and path.name != MANIFEST:
                shutil.copyfile(path, folder / path.name)
        seal(folder, facts)
        return sha256_of(folder / WEIGHTS)

    def load(self, folder: Path) -> None:
        try:
            self.load_state(load_file(folder / WEIGHTS))
        except BadInput as error:
            raise BadInput(f"{folder / WEIGHTS}: {error}") from error


def _dtypes(folder: Path) -> dict[str, torch.dtype]:
    """Precision of each weight in the base model's files."""
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            found.update({name: _DTYPES[file.get_slice(name).get_dtype()] for name in file.keys()})  # noqa: SIM118
    return found
