"""The second pass: which rows stay when they are compared with one another, and which of them are held out."""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from trainer.contract.filters import Filters
from trainer.data import filters as reasons
from trainer.data.contamination import LEARNED, Shared, TestRuns
from trainer.data.duplicates import NEAR, Alike, RowNumbers, alike, held_out
from trainer.data.intake import Intake, Taken, content_of
from trainer.data.ngrams import Numbers
from trainer.data.progress import Progress
from trainer.data.spool import Spool
from trainer.outcomes import BadInput

HELD_OUT_SHARE = 0.1  # of the rows, when no evaluation file is given
_SHOWN = 20  # leaks listed one by one


@dataclass(frozen=True)
class Selected:
    """Numbers of rows in the spool.

    dropped: training rows, by reason. leaks: a training row for each held-out row that stands in one. overlapping:
    held-out rows with 13 words in a row of a training row. returned: rows that were not held out because half of them
    stands in training rows.
    """

    training: RowNumbers
    evaluation: RowNumbers
    dropped: Counter[str]
    leaks: tuple[Shared, ...] = ()
    overlapping: int = 0
    returned: int = 0


@dataclass(frozen=True)
class Selection:
    """What rows are compared by."""

    spool: Spool
    intake: Intake
    filters: Filters
    progress: Progress

    def of(self, training: Taken, evaluation: Taken | None, *, tests: Iterable[str], seed: int) -> Selected:
        """tests: texts, as `compared` makes them, that no training row may repeat.

        Raises BadInput when no row could be held out.
        """
        found = alike(
            self.spool,
            self.intake.signatures,
            threshold=self.filters.near_duplicates or NEAR,
            polled=self.progress.interruption.polled,
        )
        kept = np.arange(len(training.numbers), dtype=np.int64)
        dropped: Counter[str] = Counter()
        if self.filters.near_duplicates is not None:
            kept = kept[found.copies[kept] == kept]
            dropped[reasons.NEAR_COPY] = len(training.numbers) - len(kept)
        contaminated = self._contaminated(kept, tests)
        dropped[reasons.CONTAMINATED] = len(contaminated)
        kept = kept[~np.isin(kept, contaminated)]
        if not len(kept):
            return Selected(kept, kept, +dropped)
        if evaluation is None:
            return self._split(kept, found, dropped=+dropped, seed=seed)
        held = np.arange(evaluation.numbers.start, evaluation.numbers.stop, dtype=np.int64)
        leaks, overlapping = self._leaks(kept, held, found)
        return Selected(kept, held, +dropped, leaks=leaks, overlapping=overlapping)

    def _split(self, rows: RowNumbers, found: Alike, *, dropped: Counter[str], seed: int) -> Selected:
        """Held-out rows that half stand in training rows go back to them, until none does."""
        is_held = held_out(found.clusters[rows], self._contents(rows), share=HELD_OUT_SHARE, seed=seed)
        held, fresh, runs = rows[is_held], rows[~is_held], self._runs(rows[is_held])
        overlapping = 0
        while len(fresh):
            self._meet(runs, fresh)
            left = set(held.tolist())
            shared = [each for each in runs.shared() if each.test in left]
            back = [each.test for each in shared if each.share >= LEARNED]
            overlapping = len(shared) - len(back)
            fresh, held = held[np.isin(held, back)], held[~np.isin(held, back)]
        if not len(held):
            raise BadInput(
                f"{len(rows)} rows: each that was held out shares text with another; give an evaluation file"
            )
        returned = int(is_held.sum()) - len(held)
        return Selected(rows[~np.isin(rows, held)], held, dropped, returned=returned, overlapping=overlapping)

    def _leaks(self, training: RowNumbers, held: RowNumbers, found: Alike) -> tuple[tuple[Shared, ...], int]:
        """Held-out rows that are in a cluster with a training row or half made of them; how many share any run."""
        runs = self._runs(held)
        self._meet(runs, training)
        shared = list(runs.shared())
        leaks = {each.test: each for each in shared if each.share >= LEARNED}
        backwards = training[::-1]
        first = dict(zip(found.clusters[backwards].tolist(), backwards.tolist(), strict=True))
        near = zip(held.tolist(), found.clusters[held].tolist(), strict=True)
        leaks |= {row: Shared(row, first[cluster], 1.0) for row, cluster in near if cluster in first}
        return tuple(leaks[row] for row in sorted(leaks)), len(shared)

    def _contaminated(self, training: RowNumbers, tests: Iterable[str]) -> list[int]:
        """Training rows that share a run with a test, or are one: of a short text only the whole tells."""
        contents = array("q")

        def noted() -> Iterator[tuple[int, str]]:
            for number, text in enumerate(tests):
                contents.append(content_of(text))
                yield number, text

        runs = TestRuns(noted(), Numbers())
        self._meet(runs, training)
        equal = training[np.isin(self._contents(training), np.array(contents, dtype=np.int64))]
        return sorted(runs.holders().union(equal.tolist()))

    def _contents(self, rows: RowNumbers) -> RowNumbers:
        return np.array(self.intake.contents, dtype=np.int64)[rows]

    def _runs(self, held: RowNumbers) -> TestRuns:
        return TestRuns(((row, self.spool.text(row)) for row in held.tolist()), Numbers())

    def _meet(self, runs: TestRuns, training: RowNumbers) -> None:
        if len(runs):
            for row in self.progress.over(training.tolist(), len(training), doing="comparing"):
                runs.meet(row, self.spool.text(row))


def refuse_leaks(selected: Selected, spool: Spool, *, most: float, shown_as: str) -> None:
    """Raise BadInput when more than `most` of the held-out rows leak; the first of them are details."""
    if not selected.leaks or len(selected.leaks) <= most * len(selected.evaluation):
        return
    lines = [
        f"{shown_as}:{spool.line(leak.test)}: stands in training row {spool.line(leak.training)}"
        for leak in selected.leaks[:_SHOWN]
    ]
    number = f"{len(selected.leaks)} of {len(selected.evaluation)}"
    raise BadInput(
        f"{shown_as}: {number} held-out rows also stand in the training rows, nearly or by half;"
        f" remove them, or raise filters.maxLeakShare (first: {lines[0]})",
        lines,
    )
