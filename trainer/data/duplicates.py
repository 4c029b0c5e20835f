"""Near-duplicate rows: the clusters of them, the copies among them, and the split that never cuts a cluster.

Two rows are near-duplicates when the Jaccard similarity of their runs of 5 words is at least `similarity`. One is a
near copy of the other when their answers are so alike too: two questions about one long text have nearly the same
words, so they must stand on the same side of a split, but there is something to learn from both. MinHash finds the
candidates, the exact similarity decides.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from trainer.data.minhash import Pairs, Signatures, candidates
from trainer.data.ngrams import Grams, Numbers, similarity
from trainer.outcomes import BadInput

NEAR = 0.8
RUN = 5  # words
_REMEMBERED = 1 << 20  # pairs that are not compared again

RowNumbers = npt.NDArray[np.int64]


class Texts(Protocol):
    """Rows by number, normalised."""

    def __len__(self) -> int: ...
    def text(self, number: int) -> str: ...
    def answer(self, number: int) -> str: ...


@dataclass(frozen=True)
class Alike:
    """For each row the first row of its cluster, and the first row that it is a near copy of; both transitive."""

    clusters: RowNumbers
    copies: RowNumbers


class _Sets:
    """Disjoint sets of rows, each named by its first row."""

    def __init__(self, rows: int) -> None:
        self._before = list(range(rows))

    def first(self, row: int) -> int:
        before = self._before
        while before[row] != row:
            before[row] = before[before[row]]
            row = before[row]
        return row

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.first(one), self.first(other)))
        self._before[high] = low

    def firsts(self) -> RowNumbers:
        return np.fromiter(map(self.first, range(len(self._before))), dtype=np.int64, count=len(self._before))


def alike(
    texts: Texts,
    signatures: Signatures,
    *,
    threshold: float = NEAR,
    polled: Callable[[Iterable[Pairs]], Iterable[Pairs]] = iter,
) -> Alike:
    """signatures: of the runs of 5 words of each text. polled: may end the work between two batches of pairs."""
    clusters, copies = _Sets(len(texts)), _Sets(len(texts))
    numbers, compared = Numbers(), set[int]()

    @lru_cache(maxsize=4096)
    def text(row: int) -> Grams:
        return np.unique(numbers.runs(texts.text(row), RUN))

    @lru_cache(maxsize=4096)
    def answer(row: int) -> Grams:
        return np.unique(numbers.runs(texts.answer(row), RUN))

    for pairs in polled(candidates(signatures.rows(), threshold)):
        for one, other in pairs.tolist():
            pair = one * len(texts) + other
            if pair in compared or copies.first(one) == copies.first(other):
                continue
            if len(compared) >= _REMEMBERED:
                compared.clear()
            compared.add(pair)
            if similarity(text(one), text(other)) >= threshold:
                clusters.join(one, other)
                if similarity(answer(one), answer(other)) >= threshold:
                    copies.join(one, other)
    return Alike(clusters.firsts(), copies.firsts())


def signed(texts: Sequence[str]) -> Signatures:
    """Signatures of normalised texts."""
    signatures, numbers = Signatures(), Numbers()
    for text in texts:
        signatures.append(numbers.runs(text, RUN))
    return signatures


def held_out(clusters: RowNumbers, contents: RowNumbers, *, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which rows are held out: whole clusters in an order drawn from the seed, until `share` of the rows is met.

    contents: a number of each row's text, so that the order hangs on what the rows say and not on where they stand.
    Raises BadInput when the rows are all of one cluster, so that none could be held out.
    """
    names, first, sizes = np.unique(clusters, return_index=True, return_counts=True)
    if len(names) < 2:  # noqa: PLR2004 - one to train on, one to hold out
        alike = "1 row is left" if len(clusters) == 1 else f"{len(clusters)} rows are near-duplicates of one another"
        raise BadInput(f"{alike}; none can be held out; give more rows, or an evaluation file")
    drawn = [hashlib.sha256(f"{seed} {content}".encode()).digest()[:8] for content in contents[first].tolist()]
    order = np.argsort(np.frombuffer(b"".join(drawn), dtype=">u8"), kind="stable")
    enough = int(np.searchsorted(np.cumsum(sizes[order]), share * len(clusters))) + 1
    return np.isin(clusters, names[order[: min(enough, len(names) - 1)]])
