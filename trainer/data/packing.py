"""Several documents to a row, so that no token is padding. Positions begin anew at each document.

A model that is given these positions and no attention mask keeps the documents of a row apart (transformers derives a
block-diagonal mask), and the gradients equal those of the documents alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.data.masks import Document

IGNORED = -100  # label of a token that the loss does not count; torch's own default


@dataclass(frozen=True)
class PackedRow:
    """Tokens of one row. labels[i] is the token the loss expects at place i, or IGNORED."""

    ids: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]

    @property
    def labelled(self) -> int:
        """Number of tokens that have a loss."""
        return int((self.labels != IGNORED).sum())


def best_fit_decreasing(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Indices of the documents of each row. Longest first, each into the fullest row that still holds it.

    Raises ValueError for a length above the width.
    """
    rows: list[list[int]] = []
    rooms: list[list[int]] = [[] for _ in range(width + 1)]  # rooms[n]: rows with n tokens free
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        length = lengths[index]
        if length > width:
            raise ValueError(f"document {index}: {length} tokens are more than a row holds ({width})")
        free = next((free for free in range(length, width + 1) if rooms[free]), None)
        if free is None:
            rows.append([])
            row, free = len(rows) - 1, width
        else:
            row = rooms[free].pop(0)
        rows[row].append(index)
        rooms[free - length].append(row)
    return rows


def packed(documents: Sequence[Document]) -> PackedRow:
    """The documents as one row, in the order given."""
    ids = np.concatenate([document.ids for document in documents]).astype(np.int64)
    learned = np.concatenate([document.learned for document in documents])
    labels = np.where(learned, ids, IGNORED)
    starts = np.cumsum([0, *(len(document) for document in documents[:-1])])
    labels[starts] = IGNORED  # else a document's first token would be predicted from its neighbour's last
    positions = np.concatenate([np.arange(len(document)) for document in documents])
    return PackedRow(ids, positions, labels)


def pack(documents: Sequence[Document], width: int) -> list[PackedRow]:
    """All documents in as few rows of at most `width` tokens as best-fit-decreasing finds."""
    rows = best_fit_decreasing([len(document) for document in documents], width)
    return [packed([documents[index] for index in row]) for row in rows]
