"""`python -m trainer.merge BASE ADAPTER FOLDER`: base and LoRA adapter as one model, for servers that take no adapter.

Each weight W becomes W + s B A with s = alpha / r, or alpha / sqrt(r) by rsLoRA; by DoRA its rows then get the learned
lengths. Computed in fp32 and kept in the base's precision, which is the unquantised one also for an adapter of QLoRA.
One file of the base is in memory at a time. Both inputs were verified when they were fetched.
"""

import argparse
import json
import math
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from trainer.contract.bucket import MANIFEST
from trainer.contract.steps import Exit
from trainer.outcomes import BadInput

_PREFIX, _A, _B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"  # peft's names
_LENGTHS = ".lora_magnitude_vector"
_WEIGHTS = ".safetensors"
_UNKNOWN = ("rank_pattern", "alpha_pattern", "modules_to_save", "layer_replication", "fan_in_fan_out", "lora_bias")


@dataclass(frozen=True)
class Update:
    """What the adapter makes of one weight: scale * B A more, and rows of these lengths where there are any."""

    a: torch.Tensor
    b: torch.Tensor
    scale: float
    lengths: torch.Tensor | None = None

    def added_to(self, weight: torch.Tensor) -> torch.Tensor:
        """Source of the lengths: DoRA (Liu et al. 2024), equation 5."""
        changed = weight.float() + self.scale * (self.b.float() @ self.a.float())
        if self.lengths is not None:
            changed *= (self.lengths.float() / torch.linalg.norm(changed, dim=1))[:, None]
        return changed.to(weight.dtype)


def merge(base: Path, adapter: Path, folder: Path) -> Path:
    """Write the merged model; returns its folder. Raises BadInput when the adapter is not of this base."""
    folder.mkdir(parents=True, exist_ok=True)
    waiting = dict(updates(adapter))
    for path in sorted(base.iterdir()):
        if path.suffix == _WEIGHTS:
            _merge_file(path, folder / path.name, waiting)
        elif path.is_file() and path.name != MANIFEST:  # the manifest's digests are the base's
            shutil.copyfile(path, folder / path.name)
    if waiting:
        raise BadInput(f"{adapter}: {min(waiting)} is no weight of {base}; name the base that the job trained on")
    return folder


def updates(adapter: Path) -> Iterator[tuple[str, Update]]:
    """Name of a base weight, and what becomes of it. Raises BadInput for an adapter that is of another form."""
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    if config.get("peft_type") != "LORA":
        raise BadInput(f"{adapter}: is no LoRA adapter but {config.get('peft_type')}; serve it with runtime vllm")
    if unknown := [name for name in _UNKNOWN if config.get(name)]:
        raise BadInput(f"{adapter}: has {unknown[0]}, which cannot be merged here; serve it with runtime vllm")
    scale = config["lora_alpha"] / (math.sqrt(config["r"]) if config.get("use_rslora") else config["r"])
    tensors = load_file(adapter / "adapter_model.safetensors")
    for name in sorted(tensors):
        if name.endswith(_A):
            module = name.removesuffix(_A)
            update = Update(tensors[name], tensors[module + _B], scale, tensors.get(module + _LENGTHS))
            if update.a.shape[0] != config["r"]:
                raise BadInput(
                    f"{adapter}: {name} has rank {update.a.shape[0]}, the configuration says {config['r']}; train again"
                )
            yield f"{module.removeprefix(_PREFIX)}.weight", update


def _merge_file(source: Path, target: Path, waiting: dict[str, Update]) -> None:
    """Copy one file of weights; updates that are used leave `waiting`."""
    with safe_open(source, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    for name in tensors.keys() & waiting.keys():
        tensors[name] = waiting.pop(name).added_to(tensors[name])
    save_file(tensors, target, metadata=metadata)


def main() -> Exit:
    parser = argparse.ArgumentParser(prog="trainer.merge", description=__doc__)
    for name in ("base", "adapter", "folder"):
        parser.add_argument(name, type=Path)
    wanted = parser.parse_args()
    try:
        merge(wanted.base, wanted.adapter, wanted.folder)
    except BadInput as error:
        sys.stderr.write(f"{error}\n")
        return Exit.BAD_INPUT
    return Exit.DONE


if __name__ == "__main__":
    sys.exit(main())
