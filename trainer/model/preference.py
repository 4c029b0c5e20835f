"""Direct preference optimisation: of two answers the chosen one becomes likelier than the base model has it.

Source: Rafailov et al., Direct Preference Optimization, equation 7. A row holds whole pairs, chosen before rejected.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from trainer.data.packing import IGNORED, PackedRow
from trainer.model.loss import label_losses
from trainer.model.tuned import Tuned


def pairs_of(row: PackedRow) -> int:
    """Pairs in a row; each document begins at position 0."""
    return int((row.positions == 0).sum()) // 2


def rewards(model: Tuned, rows: Sequence[PackedRow], beta: float) -> torch.Tensor:
    """How much likelier than the base the model has each answer, times beta; [pairs, 2]: chosen, rejected.

    The reference is the base itself, with the adapter off, so that no second model stands in memory.
    """
    with torch.no_grad(), model.without():
        reference = _answers(model, rows)
    return beta * (_answers(model, rows) - reference).view(-1, 2)


def pair_losses(rewards: torch.Tensor) -> torch.Tensor:
    """-log sigmoid of the margin of each pair; log 2 where the model is the base."""
    return -functional.logsigmoid(rewards[:, 0] - rewards[:, 1])


def _answers(model: Tuned, rows: Sequence[PackedRow]) -> torch.Tensor:
    """Log-likelihood of each document's labelled tokens, [documents]."""
    losses = label_losses(model, rows)
    owners, documents = [], 0
    for row in rows:
        numbers = np.cumsum(row.positions == 0) - 1 + documents
        owners.append(numbers[1:][row.labels[1:] != IGNORED])
        documents += int((row.positions == 0).sum())
    owner = torch.from_numpy(np.concatenate(owners)).to(losses.device)
    return losses.new_zeros(documents).index_add(0, owner, -losses)
