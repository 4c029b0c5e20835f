"""Rows of a test that also stand, in part, in the training rows: runs of 13 words that both have.

A run that more than 10 training rows have is a common phrase and proves nothing. Both numbers are those of Brown et al.
2020 (GPT-3), appendix C; of less than 100 training rows a tenth of them make a phrase common. One such run makes a
training row suspect of holding a test's text; a held-out row counts as learned only when half of its runs stand in
training rows, because people word like things alike (10 of GSM8K's 1,319 test rows share a run with a training row).
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from trainer.data.ngrams import Grams, Numbers

RUN = 13  # words
COMMON = 10  # training rows
LEARNED = 0.5  # of a held-out row's runs


@dataclass(frozen=True)
class Shared:
    """A test row, the share of its runs that training rows have, and the training row that has most of them."""

    test: int
    training: int
    share: float


class TestRuns:
    """The runs of the test rows, and which training rows have them too."""

    __test__ = False  # for pytest: no test

    def __init__(self, rows: Iterable[tuple[int, str]], numbers: Numbers) -> None:
        """rows: number, below 2^31, and normalised text of each test row."""
        found, owners = array("Q"), array("i")
        for number, text in rows:
            runs = _runs(text, numbers)
            found.frombytes(runs.tobytes())
            owners.extend([number] * len(runs))
        unsorted = np.frombuffer(found, dtype=np.uint64) if found else np.empty(0, dtype=np.uint64)
        order = np.argsort(unsorted, kind="stable")
        self._runs = unsorted[order]  # a run stands here once for each row that has it
        self._owners = np.array(owners, dtype=np.int32)[order]
        self._holders: dict[int, list[int]] = {}  # by the first place of a run
        self._numbers, self._rows = numbers, 0

    def __len__(self) -> int:
        return len(self._runs)

    def meet(self, row: int, text: str) -> None:
        """A training row, by its number and normalised text."""
        self._rows += 1
        runs = _runs(text, self._numbers)
        places = np.searchsorted(self._runs, runs)
        inside = places < len(self._runs)
        runs, places = runs[inside], places[inside]
        for place in places[self._runs[places] == runs].tolist():
            holders = self._holders.setdefault(place, [])
            if len(holders) <= COMMON:
                holders.append(row)

    def shared(self) -> Iterator[Shared]:
        """The test rows of which any run is in a training row, by number."""
        rows, numbers = np.unique(self._owners, return_counts=True)
        runs = dict(zip(rows.tolist(), numbers.tolist(), strict=True))
        found: dict[int, list[int]] = {}
        holders: dict[int, Counter[int]] = {}
        for owners, training in self._hits():
            for owner in owners:
                if training:
                    found.setdefault(owner, []).append(len(training))
                    holders.setdefault(owner, Counter()).update(training)
                else:
                    runs[owner] -= 1
        for owner in sorted(found):
            most = max(holders[owner].items(), key=lambda item: (item[1], -item[0]))[0]
            yield Shared(owner, most, share=len(found[owner]) / runs[owner])

    def holders(self) -> set[int]:
        """The training rows that have any run of a test row."""
        return {row for _, training in self._hits() for row in training}

    def _hits(self) -> Iterator[tuple[list[int], list[int]]]:
        """For each run that was met, its test rows and its training rows; none of a common phrase."""
        common = min(COMMON, max(1, self._rows // 10))
        for place, training in sorted(self._holders.items()):
            end = int(np.searchsorted(self._runs, self._runs[place], side="right"))
            owners = self._owners[place:end].tolist()
            yield owners, training if len(training) <= common else []


def _runs(text: str, numbers: Numbers) -> Grams:
    """Runs of a text that has at least one, without repeats."""
    found = text.split(" ")
    return np.unique(numbers.runs_of(found, RUN)) if len(found) >= RUN else np.empty(0, dtype=np.uint64)
