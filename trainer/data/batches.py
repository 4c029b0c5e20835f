"""The order of the rows: a permutation per epoch, drawn from the seed, so that a position is all there is to save."""

from collections.abc import Sequence
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

    def _at(self, place: int) -> PackedRow:
        epoch, index = divmod(place, len(self.rows))
        return self.rows[_order(self.seed, epoch, len(self.rows))[index]]


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, length: int) -> list[int]:
    return [int(index) for index in np.random.default_rng([seed, epoch]).permutation(length)]
