"""AdamW in fp32 or 8-bit states, and its state as plain tensors. The only module that imports bitsandbytes.

A state's name is `<weight>.<slot>`: what a checkpoint keeps, free of optimizer objects, whole however it was sharded.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch.distributed.tensor import DTensor, distribute_tensor

from trainer.contract.recipe import Recipe

_CONSTANT = {"qmap1", "qmap2"}  # bitsandbytes' code books: the same for every weight and every run


def optimizer(parameters: Mapping[str, torch.nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer. The learning rate is set at each step; weight decay is AdamW's own."""
    weights = list(parameters.values())
    on_gpu = all(weight.is_cuda for weight in weights)
    if recipe.optimizer == "adamw":
        rate, decay = recipe.learning_rate, recipe.weight_decay
        return torch.optim.AdamW(weights, lr=rate, weight_decay=decay, fused=on_gpu, foreach=False)
    from bitsandbytes.optim.adamw import AdamW8bit

    is_paged = recipe.optimizer == "paged-adamw-8bit" and on_gpu  # main memory is where a CPU's states are anyway
    adamw: Any = AdamW8bit
    made: torch.optim.Optimizer = adamw(
        weights, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, is_paged=is_paged
    )
    return made


def slots(made: torch.optim.Optimizer, parameters: Mapping[str, torch.nn.Parameter]) -> dict[str, torch.Tensor]:
    """The state of each weight that has one. With several ranks of which each holds a part, all must call it."""
    found = {}
    for name, weight in parameters.items():
        for slot, value in made.state.get(weight, {}).items():
            if slot not in _CONSTANT:
                found[f"{name}.{slot}"] = _plain(value)
    return found


@torch.no_grad()
def put_slots(
    made: torch.optim.Optimizer, parameters: Mapping[str, torch.nn.Parameter], tensors: Mapping[str, torch.Tensor]
) -> None:
    """Take such states; a weight without any begins anew."""
    for index, (name, weight) in enumerate(parameters.items()):
        prefix = f"{name}."
        found = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        if not found:
            made.state.pop(weight, None)
        elif isinstance(made, torch.optim.AdamW):
            made.state[weight] = {slot: _placed(slot, value, weight) for slot, value in found.items()}
        else:
            _fill(made, weight, found, index=index)


def _fill(made: Any, weight: torch.nn.Parameter, found: Mapping[str, torch.Tensor], *, index: int) -> None:
    """States of bitsandbytes: allocated by itself, paged ones in memory of their own; it counts steps in an integer."""
    made.state.pop(weight, None)
    made.init_state(made.param_groups[0], weight, 0, index)
    state = made.state[weight]
    for slot, value in found.items():
        if isinstance(state[slot], torch.Tensor):
            state[slot].copy_(value)
        else:
            state[slot] = int(value)


def _plain(value: Any) -> torch.Tensor:
    if isinstance(value, DTensor):
        value = value.full_tensor()
    tensor: torch.Tensor = value.detach() if isinstance(value, torch.Tensor) else torch.tensor(value)
    return tensor.to("cpu", copy=True).contiguous()


def _placed(slot: str, value: torch.Tensor, weight: torch.nn.Parameter) -> torch.Tensor:
    """AdamW counts steps on the CPU, or beside the weight when it is fused."""
    if slot == "step":
        return value.to(weight.device) if weight.is_cuda else value.clone()
    if isinstance(weight, DTensor):
        return distribute_tensor(value.to(weight.device), weight.device_mesh, weight.placements)
    return value.to(weight.device, copy=True)
