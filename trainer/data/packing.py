"""Several documents to a row, so that no token is padding. Positions begin anew at each document.

A model that is given these positions and no attention mask keeps the documents of a row apart (transformers derives a
block-diagonal mask), and the gradients equal those of the documents alone.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from trainer.contract.recipe import Recipe
from trainer.data.documents import lengths_of
from trainer.data.masks import Document

IGNORED = -100  # label of a token that the loss does not count; torch's own default


@dataclass(frozen=True)
class PackedRow:
    """Tokens of one row. labels[i] is the token the loss expects at place i, or IGNORED."""

    ids: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]

    @property
    def documents(self) -> int:
        """Number of documents in it."""
        return int((self.positions == 0).sum())

    @property
    def labelled(self) -> int:
        """Number of tokens that have a loss."""
        return int((self.labels != IGNORED).sum())


class PackedRows(Sequence[PackedRow]):
    """The rows of a training, each put together when it is asked for: a million documents need not be in memory."""

    def __init__(self, documents: Sequence[Document], groups: Sequence[Sequence[int]]) -> None:
        """groups: for each row the indices of its documents."""
        self._documents, self._groups = documents, groups

    def __len__(self) -> int:
        return len(self._groups)

    @overload
    def __getitem__(self, index: int) -> PackedRow: ...
    @overload
    def __getitem__(self, index: slice) -> "PackedRows": ...
    def __getitem__(self, index: int | slice) -> "PackedRow | PackedRows":
        if isinstance(index, slice):
            return PackedRows(self._documents, self._groups[index])
        return packed([self._documents[number] for number in self._groups[index]])


def rows_of(documents: Sequence[Document], recipe: Recipe) -> PackedRows:
    """The rows of a recipe. With dpo each pair is in one row, chosen first; without packing a row is one of them.

    Raises ValueError for a document, or a pair, that is wider than a row.
    """
    if not recipe.packing:
        size = 2 if recipe.objective == "dpo" else 1
        return PackedRows(documents, [range(first, first + size) for first in range(0, len(documents), size)])
    return (pack_pairs if recipe.objective == "dpo" else pack)(documents, recipe.width)


def pack(documents: Sequence[Document], width: int) -> PackedRows:
    """All documents in as few rows of at most `width` tokens as best-fit-decreasing finds."""
    return PackedRows(documents, best_fit_decreasing(lengths_of(documents), width))


def pack_pairs(documents: Sequence[Document], width: int) -> PackedRows:
    """The same of chosen, rejected, chosen, rejected...: no pair is cut."""
    lengths = np.asarray(lengths_of(documents))
    rows = best_fit_decreasing(lengths[0::2] + lengths[1::2], width)
    return PackedRows(documents, [[place for pair in row for place in (2 * pair, 2 * pair + 1)] for row in rows])


def best_fit_decreasing(lengths: Sequence[int] | npt.NDArray[np.int64], width: int) -> list[list[int]]:
    """Indices of the documents of each row. Longest first, each into the fullest row that still holds it.

    Raises ValueError for a length above the width.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    rows: list[list[int]] = []
    rooms: dict[int, deque[int]] = {}  # free tokens -> rows with as many
    open_rooms = 0  # bit n is set: some row has n tokens free; one shift and one mask find the least that suffices
    for index in np.argsort(-sizes, kind="stable").tolist():
        length = int(sizes[index])
        if length > width:
            raise ValueError(f"document {index}: {length} tokens are more than a row holds ({width})")
        if fitting := open_rooms >> length:
            free = length + (fitting & -fitting).bit_length() - 1
            row = rooms[free].popleft()
            if not rooms[free]:
                open_rooms ^= 1 << free
        else:
            rows.append([])
            row, free = len(rows) - 1, width
        rows[row].append(index)
        rooms.setdefault(free - length, deque()).append(row)
        open_rooms |= 1 << (free - length)
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
