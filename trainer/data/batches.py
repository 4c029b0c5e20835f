"""The order of the rows: a permutation per epoch, drawn from the seed, so that a position is all there is to save.

The order, and what dropout drops, is the same however many ranks share the work.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from trainer.data.packing import PackedRow


@dataclass
class Batches:
    """Rows in training order. position: rows taken so far, over all epochs."""

    rows: Sequence[PackedRow]
    seed: int
    epochs: int
    position: int = 0

    def take(self, number: int) -> list[PackedRow]:
        """The next rows; fewer than `number` at the very end, never none before it."""
        end = min(self.position + number, self.epochs * len(self.rows))
        taken = [self._at(place) for place in range(self.position, end)]
        self.position = end
        return taken

    def documents(self, first: int, end: int) -> int:
        """How many documents lie in the rows from position `first` up to `end`."""
        return sum(self._at(place).documents for place in range(first, end))

    @property
    def are_used_up(self) -> bool:
        return self.position >= self.epochs * len(self.rows)

    def _at(self, place: int) -> PackedRow:
        epoch, index = divmod(place, len(self.rows))
        return self.rows[_order(self.seed, epoch, len(self.rows))[index]]


@dataclass(frozen=True)
class MicroStep:
    """Rows that go through the model of one rank at once. position: of the first of them in training order.

    No rows: this rank has run out of them before others have.
    """

    position: int
    rows: tuple[PackedRow, ...]

    def random_seed(self, seed: int) -> int:
        """What torch is seeded with: neither the rank nor what ran before decides which weights dropout drops."""
        return int(np.random.SeedSequence([seed, self.position]).generate_state(1, np.uint64)[0])


def dealt(rows: Sequence[PackedRow], position: int, *, size: int, rank: int, world: int) -> Iterator[MicroStep]:
    """One rank's share of rows, dealt like cards in micro-steps of `size` rows; as many for every rank.

    position: of the first row in training order.
    """
    for number in range(math.ceil(len(rows) / (size * world))):
        start = (number * world + rank) * size
        yield MicroStep(position + start, tuple(rows[start : start + size]))


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, length: int) -> list[int]:
    return [int(index) for index in np.random.default_rng([seed, epoch]).permutation(length)]
