"""`python -m trainer.merge BASE ADAPTER FOLDER`: base and LoRA adapter as one model, for servers that take no adapter.

Each weight W becomes W + alpha/r * B A, computed in fp32 and kept in the base's precision. One file of the base is in
memory at a time. Both inputs were verified when they were fetched.
"""

import argparse
import json
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
_WEIGHTS = ".safetensors"


@dataclass(frozen=True)
class Update:
    """What the adapter adds to one weight: scale * B A."""

    a: torch.Tensor
    b: torch.Tensor
    scale: float

    def added_to(self, weight: torch.Tensor) -> torch.Tensor:
        return (weight.float() + self.scale * (self.b.float() @ self.a.float())).to(weight.dtype)


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
    """Name of a base weight, and what is added to it. Raises BadInput for an adapter that is not plain LoRA."""
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    if config.get("peft_type") != "LORA" or config.get("use_rslora") or config.get("use_dora"):
        raise BadInput(f"{adapter}: is no plain LoRA adapter; serve it with runtime vllm")
    scale = config["lora_alpha"] / config["r"]
    tensors = load_file(adapter / "adapter_model.safetensors")
    for name in sorted(tensors):
        if name.endswith(_A):
            module = name.removesuffix(_A)
            yield f"{module.removeprefix(_PREFIX)}.weight", Update(tensors[name], tensors[module + _B], scale)


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
