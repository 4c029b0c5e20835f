"""Words of a text and the runs of n of them, as numbers: what duplicates and test rows are found by.

A run's number is a 64-bit hash: a training row that holds 100 runs has the number of one of 100,000 others by chance
once in 10^12 times.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Grams = npt.NDArray[np.uint64]

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")  # scripts without blanks: a character is a word
_KNOWN = 1 << 18  # words whose numbers are kept
_BASE, _MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)  # odd; splitmix64's


def words(text: str) -> list[str]:
    """Words in Unicode NFC and lower case, without punctuation."""
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


def normalised(text: str) -> str:
    """What counts as the same text: its words, one blank between them; a text without words as it stands."""
    return " ".join(words(text)) or " ".join(text.split())


class Numbers(dict[str, int]):
    """Word -> 64 bits, the same in every process. Keeps the numbers of the words it met."""

    def __missing__(self, word: str) -> int:
        if len(self) >= _KNOWN:
            self.clear()
        number = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        self[word] = number
        return number

    def runs(self, text: str, length: int) -> Grams:
        """Numbers of the runs of `length` words of a normalised text, in order; of a shorter text, one of all of it."""
        return self.runs_of(text.split(" "), length)

    def runs_of(self, found: Sequence[str], length: int) -> Grams:
        """The same of words."""
        numbers = np.fromiter(map(self.__getitem__, found), dtype=np.uint64, count=len(found))
        count = max(1, len(numbers) - length + 1)
        runs = np.zeros(count, dtype=np.uint64)
        for place in range(min(length, len(numbers))):
            runs = runs * _BASE + numbers[place : place + count]
        runs ^= runs >> np.uint64(31)
        runs *= _MIX
        return runs ^ (runs >> np.uint64(29))


def similarity(one: Grams, other: Grams) -> float:
    """Jaccard similarity of two sets of runs, each sorted and without repeats."""
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)
