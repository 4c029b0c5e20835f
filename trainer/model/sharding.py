"""FSDP2: every weight cut over the ranks, gathered layer by layer while it is needed. Source: torch's fully_shard."""

from collections.abc import Callable
from typing import Any

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

from trainer.model.precision import DTYPES

_FORWARD = "forward_of"  # method of a sharded model that runs any function as its forward


def shard(causal: Any, *, world: int, method: str, precision: str) -> None:
    """Cut a transformers model in place, a decoder layer at a time, so that no GPU ever holds more than one whole.

    Gradients are summed in fp32, not averaged: the loss is divided by the units of the whole global batch already.
    Fully tuned weights are fp32 and computed with in `precision`; a frozen base keeps its own.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    computed = DTYPES[precision] if method == "full" and precision != "fp32" else None
    options: dict[str, Any] = {
        "mesh": init_device_mesh(device, (world,)),
        "mp_policy": MixedPrecisionPolicy(param_dtype=computed, reduce_dtype=torch.float32),
    }
    for layer in causal.model.layers:
        fully_shard(layer, reshard_after_forward=True, **options)
    fully_shard(causal, reshard_after_forward=False, **options)
    for module in causal.modules():
        if isinstance(module, FSDPModule):
            module.set_force_sum_reduction_for_comms(enable=True)
            module.set_gradient_divide_factor(1.0)
    setattr(causal, _FORWARD, _call)
    register_fsdp_forward_method(causal, _FORWARD)


def in_forward(causal: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function that uses parts of the model; the weights of a sharded one are there while it runs."""
    return getattr(causal, _FORWARD, _call)(function, *arguments)


def is_sharded(causal: Any) -> bool:
    return isinstance(causal, FSDPModule)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)
