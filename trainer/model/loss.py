"""Cross entropy of rows at their labelled tokens.

Only labelled places go through the output layer, a chunk at a time and recomputed in the backward pass, so that the
logits of a large vocabulary never stand in memory at once.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from trainer.data.packing import IGNORED, PackedRow
from trainer.model.sharding import in_forward
from trainer.model.tuned import Tuned

CHUNK = 128  # places per chunk


def summed_loss(model: Tuned, rows: Sequence[PackedRow]) -> torch.Tensor:
    """Sum of the losses in fp32; divide by the labelled tokens of the global batch."""
    return label_losses(model, rows).sum()


def label_losses(model: Tuned, rows: Sequence[PackedRow]) -> torch.Tensor:
    """Loss of each labelled token in fp32, row by row in reading order; call it within `computing` (precision.py)."""
    losses: torch.Tensor = in_forward(model.causal, _label_losses, model.causal, stacked(rows))
    return losses


def _label_losses(causal: Any, columns: tuple[Any, Any, Any]) -> torch.Tensor:
    """columns: as `stacked` makes them. No attention mask is passed.

    The positions, which begin anew at each document, keep the documents apart; a mask of ones beside them would
    silently join them.
    """
    device, (ids, positions, labels) = causal.device, columns
    places = np.flatnonzero(labels[:, 1:] != IGNORED)  # known without asking the GPU, which would wait for it
    ids, positions, chosen = (torch.from_numpy(column).to(device) for column in (ids, positions, places))
    states = causal.model(input_ids=ids, position_ids=positions, use_cache=False).last_hidden_state
    states = states[:, :-1].flatten(0, 1).index_select(0, chosen)
    tokens = torch.from_numpy(labels[:, 1:].reshape(-1)[places]).to(device)
    # No loss, but of the weights: rows without a label still take part in the collectives of a sharded model.
    losses = [states[:0].sum(dim=1, dtype=torch.float32)]
    for start in range(0, len(places), CHUNK):
        piece = slice(start, start + CHUNK)
        losses.append(checkpoint(_chunk, causal.lm_head, states[piece], tokens[piece], use_reentrant=False))
    return torch.cat(losses)


def stacked(rows: Sequence[PackedRow]) -> tuple[Any, Any, Any]:
    """Ids, positions and labels, [rows, longest] each. What fills a short row is a document of its own, unlabelled."""
    longest = max(len(row.ids) for row in rows)
    short = [longest - len(row.ids) for row in rows]
    ids = [np.pad(row.ids, (0, room)) for row, room in zip(rows, short, strict=True)]
    positions = [np.append(row.positions, np.arange(room)) for row, room in zip(rows, short, strict=True)]
    labels = [np.pad(row.labels, (0, room), constant_values=IGNORED) for row, room in zip(rows, short, strict=True)]
    return np.stack(ids), np.stack(positions), np.stack(labels)


def _chunk(output: torch.nn.Module, states: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(output(states).float(), tokens, reduction="none")
