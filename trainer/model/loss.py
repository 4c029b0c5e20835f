"""Cross entropy of a packed row, summed over its labelled tokens.

Only labelled places go through the output layer, a chunk at a time and recomputed in the backward pass, so that the
logits of a large vocabulary never stand in memory at once.
"""

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from trainer.data.packing import IGNORED, PackedRow
from trainer.model.adapter import Adapted

CHUNK = 128  # places per chunk


def summed_loss(model: Adapted, row: PackedRow) -> torch.Tensor:
    """Sum of the losses in fp32; divide by the labelled tokens of the global batch.

    No attention mask is passed: the positions, which begin anew at each document, keep the documents apart, and a
    mask of ones beside them would silently join them.
    """
    device = next(iter(model.parameters.values())).device
    ids, positions = torch.from_numpy(row.ids).to(device), torch.from_numpy(row.positions).to(device)
    labels = torch.from_numpy(row.labels).to(device)[1:]
    causal = model.causal
    hidden = causal.model(input_ids=ids[None], position_ids=positions[None], use_cache=False).last_hidden_state[0, :-1]
    labelled = labels != IGNORED
    hidden, labels = hidden[labelled], labels[labelled]
    total = torch.zeros((), device=device)
    for start in range(0, len(labels), CHUNK):
        piece = slice(start, start + CHUNK)
        total = total + checkpoint(_chunk, causal.lm_head, hidden[piece], labels[piece], use_reentrant=False)
    return total


def _chunk(output: torch.nn.Module, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(output(hidden).float(), labels, reduction="sum")
