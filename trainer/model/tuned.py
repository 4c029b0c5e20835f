"""What the loop, the evaluation and the checkpoints need of a model in tuning, whatever its method."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.distributed.tensor import DTensor, distribute_tensor

from trainer.outcomes import BadInput


class Tuned(Protocol):
    """A base model and what is trained of it."""

    @property
    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """What is trained, by name, sorted; asked of the model each time, because sharding puts others in place."""
        ...

    @property
    def total_parameters(self) -> int: ...

    @property
    def causal(self) -> Any:
        """The transformers model: `model(input_ids=, position_ids=)` gives hidden states, `lm_head` their logits."""
        ...

    def training(self, *, mode: bool) -> None:
        """Dropout and activation checkpointing on or off."""
        ...

    def without(self) -> AbstractContextManager[None]:
        """While it lasts, the base model alone."""
        ...

    def state(self) -> dict[str, torch.Tensor]:
        """The trained weights, whole, fp32, on the CPU. With several ranks each of them must call it."""
        ...

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take such weights. Raises BadInput when names or shapes are others."""
        ...

    def save(self, folder: Path, facts: Mapping[str, Any], *, state: Mapping[str, torch.Tensor] | None = None) -> str:
        """Write a sealed folder and return the digest of its weights. Same weights, same bytes.

        state: what `state` returned, for a model whose parts several ranks hold; asked for here when absent.
        """
        ...

    def load(self, folder: Path) -> None:
        """Take the weights of a saved folder. Raises BadInput when they are of another shape."""
        ...


def trained(named: Iterable[tuple[str, torch.nn.Parameter]]) -> dict[str, torch.nn.Parameter]:
    """Those that require a gradient, sorted by name."""
    return dict(sorted((name, weight) for name, weight in named if weight.requires_grad))


def whole(weight: torch.Tensor) -> torch.Tensor:
    """A weight, or all parts of a sharded one, as a plain fp32 tensor on the CPU that shares no memory with it."""
    weight = weight.detach()
    gathered: torch.Tensor = weight.full_tensor() if isinstance(weight, DTensor) else weight
    return gathered.to("cpu", torch.float32, copy=True).contiguous()


@torch.no_grad()
def put(weights: Mapping[str, torch.nn.Parameter], tensors: Mapping[str, torch.Tensor]) -> None:
    """Copy whole tensors into the weights of the same names, this rank's part into a sharded one. Raises BadInput."""
    if missing := sorted(weights.keys() ^ tensors.keys()):
        raise BadInput(f"{missing[0]}: is trained here and not there, or there and not here; use the same recipe")
    for name, weight in weights.items():
        tensor = tensors[name]
        if tensor.shape != weight.shape:
            raise BadInput(
                f"{name}: has shape {list(tensor.shape)}, expected {list(weight.shape)}; use the same base and recipe"
            )
        if isinstance(weight, DTensor):
            tensor = distribute_tensor(tensor.to(weight.device), weight.device_mesh, weight.placements)
        weight.copy_(tensor)
