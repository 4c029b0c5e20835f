"""Gradients of the trained weights between the backward pass and the update."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from trainer.durability.ranks import Ranks
from trainer.model.sharding import is_sharded
from trainer.outcomes import Unavailable


def summed_over(ranks: Ranks, parameters: Iterable[torch.nn.Parameter]) -> None:
    """Data parallel: each rank's gradients become the sum of all ranks', in one exchange for each global batch.

    torch's DistributedDataParallel is not needed: it hides the exchange behind the backward pass, which pays when all
    weights are trained; of an adapter there are some 20 MB, and the order of its sums varies with its buckets.
    """
    if ranks.world == 1:
        return
    weights = list(parameters)
    for weight in weights:
        if weight.grad is None:  # a rank without rows
            weight.grad = torch.zeros_like(weight)
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    sizes = [gradient.numel() for gradient in gradients]
    flat = ranks.sum(torch.cat([gradient.reshape(-1) for gradient in gradients]))
    for gradient, part in zip(gradients, torch.split(flat, sizes), strict=True):
        gradient.copy_(part.view_as(gradient))


def scaled(parameters: Iterable[torch.nn.Parameter], *, by: float) -> None:
    """Multiply each gradient."""
    if by != 1:
        for weight in parameters:
            if weight.grad is not None:
                weight.grad.mul_(by)


def out_of_memory(causal: Any, error: torch.OutOfMemoryError) -> None:
    """Give back what can be given back. Raises Unavailable where other ranks already wait for this one's share."""
    if is_sharded(causal):
        raise _told(error) from error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def gpu_memory_suffices() -> Iterator[None]:
    """Raises Unavailable where memory runs out outside of the micro-steps: for the weights, the optimizer's states."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise _told(error) from error


def _told(error: torch.OutOfMemoryError) -> Unavailable:
    return Unavailable(
        f"GPU memory ran out ({str(error).splitlines()[0]}); lower microRows or width, or use activationCheckpointing"
    )
