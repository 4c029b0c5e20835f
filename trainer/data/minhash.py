"""MinHash: which rows may be near-duplicates, found without comparing each with each.

A signature holds the least of 64 hashes over the runs of a row. Rows whose signatures agree in all numbers of a band
are candidates when the agreement of the whole comes near the wanted similarity; the exact similarity decides
(duplicates.py). Recall at similarity 0.8: 1 - (1 - 0.8^4)^16 = 99.98 %.
"""

import hashlib
from array import array
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from trainer.data.ngrams import Grams

PERMUTATIONS = 64
WINDOW = 64  # rows of a band that a row is compared with, at most: what bounds the cost of rows of one template
_BATCH = 1 << 16  # runs that are hashed at once
_LOOSE = 0.7  # below it bands are of 2 numbers, else of 4
_MARGIN = 0.2  # four standard deviations of an agreement of 64 numbers

Pairs = npt.NDArray[np.int64]  # of shape (pairs, 2): the smaller row number first


class Signatures:
    """64 numbers of 32 bits of each row; 256 MB for a million rows."""

    def __init__(self) -> None:
        self._numbers = array("I")
        self._waiting: list[Grams] = []
        self._runs = 0

    def append(self, runs: Grams) -> None:
        """runs: of the next row, at least one."""
        self._waiting.append(runs)
        self._runs += len(runs)
        if self._runs >= _BATCH:
            self._hash()

    def rows(self) -> npt.NDArray[np.uint32]:
        """Of shape (rows, 64). Nothing is appended while the array is in use."""
        self._hash()
        return np.frombuffer(self._numbers, dtype=np.uint32).reshape(-1, PERMUTATIONS)

    def _hash(self) -> None:
        if not self._waiting:
            return
        runs = np.concatenate(self._waiting)
        starts = np.cumsum([0, *(len(each) for each in self._waiting[:-1])])
        found = np.empty((len(self._waiting), PERMUTATIONS), dtype=np.uint32)
        for number in range(PERMUTATIONS):
            hashed = ((runs * _odd(number)) >> np.uint64(32)).astype(np.uint32)
            found[:, number] = np.minimum.reduceat(hashed, starts)
        self._numbers.frombytes(found.tobytes())
        self._waiting, self._runs = [], 0


def candidates(signatures: npt.NDArray[np.uint32], similarity: float) -> Iterator[Pairs]:
    """Pairs that may be at least so similar, in batches; a pair may come more than once."""
    size = 4 if similarity >= _LOOSE else 2
    least = (similarity - _MARGIN) * PERMUTATIONS
    bands = PERMUTATIONS // size
    for band in range(bands):
        keys = _keys(signatures, band, size)
        order = np.lexsort((_keys(signatures, (band + 1) % bands, size), keys))
        keys = keys[order]
        places = np.arange(len(keys) - 1)
        for distance in range(1, WINDOW + 1):
            places = places[places + distance < len(keys)]
            places = places[keys[places] == keys[places + distance]]
            if not len(places):
                break
            one, other = order[places], order[places + distance]
            pairs = np.stack((np.minimum(one, other), np.maximum(one, other)), axis=1)
            yield from _agreeing(signatures, pairs, least)


def _agreeing(signatures: npt.NDArray[np.uint32], pairs: Pairs, least: float) -> Iterator[Pairs]:
    """The pairs whose signatures agree in at least so many numbers, a bounded number of them at a time."""
    for start in range(0, len(pairs), _BATCH):
        some = pairs[start : start + _BATCH]
        agreeing = some[(signatures[some[:, 0]] == signatures[some[:, 1]]).sum(axis=1) >= least]
        if len(agreeing):
            yield agreeing


def _keys(signatures: npt.NDArray[np.uint32], band: int, size: int) -> npt.NDArray[np.uint64]:
    """The numbers of a band of each row as one."""
    key = np.zeros(len(signatures), dtype=np.uint64)
    for place in range(band * size, (band + 1) * size):
        key = key * _odd(PERMUTATIONS) + signatures[:, place]
    return key


def _odd(number: int) -> np.uint64:
    """A multiplier of its own for each permutation (Dietzfelbinger's multiply-shift)."""
    return np.uint64(int.from_bytes(hashlib.blake2b(str(number).encode(), digest_size=8).digest(), "little") | 1)
