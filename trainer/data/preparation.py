"""Rows -> a prepared data set, in three passes: filter each, compare them with one another, write what is left."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Recipe
from trainer.data import card as cards
from trainer.data import dataset
from trainer.data import filters as reasons
from trainer.data.card import Card, Leak, Packing, Part, Source
from trainer.data.dataset import DatasetWriter, Facts
from trainer.data.duplicates import RowNumbers
from trainer.data.filters import RowFilters
from trainer.data.intake import Intake, Taken, compared
from trainer.data.masks import ChatTokenizer
from trainer.data.packing import best_fit_decreasing
from trainer.data.progress import Progress
from trainer.data.reading import read_rows
from trainer.data.rows import Row
from trainer.data.selection import Selected, Selection, refuse_leaks
from trainer.data.spool import Spool
from trainer.outcomes import BadInput


@dataclass(frozen=True)
class File:
    """A file of rows that has been fetched. lines: about as many rows."""

    path: Path
    source: Source

    @property
    def lines(self) -> int:
        """For the progress alone: of a form without lines it is too small."""
        with self.path.open("rb") as file:
            return 1 + sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))


@dataclass(frozen=True)
class Files:
    """evaluation: None: a part of the data is held out. tests: what no training row may repeat."""

    data: File
    evaluation: File | None
    tests: tuple[File, ...]


@dataclass(frozen=True)
class Outcome:
    """What the passes found. learned: tokens that the loss counts, by part."""

    intake: Intake
    filters: RowFilters
    training: Taken
    evaluation: Taken | None
    selected: Selected
    learned: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Preparation:
    """Of one job. version: of the pipeline, for the card. scratch: a file that may be written."""

    job: TrainingJob
    recipe: Recipe
    tokenizer: ChatTokenizer
    files: Files
    progress: Progress
    scratch: Path
    fingerprint: str
    version: int

    def write(self, folder: Path) -> Card:
        """Leave data set and card in the folder.

        Raises BadInput when a row is bad, none is left, none can be held out or too many held-out rows leak.
        """
        row_filters = RowFilters(self.job.filters, self.tokenizer, width=self.recipe.width)
        with Spool(self.scratch) as spool:
            intake = Intake(row_filters, spool)
            training = intake.take(self._rows(self.files.data, is_data=True), shown_as=self.job.data)
            held_file, evaluation = self.files.evaluation, None
            if held_file:
                evaluation = intake.take(self._rows(held_file), shown_as=held_file.source.uri)
            _refuse_none_left(training, self.job.data, self.recipe)
            selection = Selection(spool, intake, self.job.filters, self.progress)
            selected = selection.of(training, evaluation, tests=self._tests(row_filters), seed=self.job.seed)
            _refuse_none_left(training, self.job.data, self.recipe, dropped=selected.dropped)
            if evaluation and held_file:
                _refuse_none_left(evaluation, held_file.source.uri, self.recipe)
                most = self.job.filters.max_leak_share
                refuse_leaks(selected, spool, most=most, shown_as=held_file.source.uri)
            return self._written(folder, spool, Outcome(intake, row_filters, training, evaluation, selected))

    def _rows(self, file: File, *, is_data: bool = False) -> Iterator[Row]:
        filters = self.job.filters if is_data else self.job.filters.model_copy(update={"max_rows": None})
        rows = read_rows(file.path, shown_as=file.source.uri, filters=filters, objective=self.recipe.objective)
        return self.progress.over(rows, file.lines, doing="reading")

    def _tests(self, row_filters: RowFilters) -> Iterator[str]:
        for file in self.files.tests:
            for row in self.progress.over(
                read_rows(file.path, shown_as=file.source.uri), file.lines, doing="comparing"
            ):
                yield compared(row_filters.of_test(row))

    def _written(self, folder: Path, spool: Spool, outcome: Outcome) -> Card:
        parts: tuple[tuple[dataset.Part, RowNumbers], ...] = (
            ("training", outcome.selected.training),
            ("evaluation", outcome.selected.evaluation),
        )
        with DatasetWriter(folder) as writer:
            for part, numbers in parts:
                for number in self.progress.over(numbers.tolist(), len(numbers), doing="writing"):
                    for document in spool.documents(number):
                        writer.add(part, document)
                        outcome.learned[part] += int(document.learned.sum())
            card = self._card(spool, outcome)
            card.write(folder)
            dropped = Counter(card.training.dropped) + Counter(card.evaluation.dropped)
            writer.finish(Facts(fingerprint=self.fingerprint, dropped=dict(dropped)))
        return card

    def _card(self, spool: Spool, outcome: Outcome) -> Card:
        job, selected, intake = self.job, outcome.selected, outcome.intake
        lengths = np.array([sum(spool.lengths(row)) for row in selected.training.tolist()], dtype=np.int64)
        held = sum(sum(spool.lengths(row)) for row in selected.evaluation.tolist())
        facts, evaluation = self.tokenizer.facts, outcome.evaluation
        abusive = sum(intake.abusive[row] for row in selected.training.tolist())
        dropped = outcome.training.dropped + selected.dropped
        copies = dropped[reasons.COPY] + dropped[reasons.NEAR_COPY]
        return Card(
            fingerprint=self.fingerprint,
            pipeline_version=self.version,
            data=self.files.data.source,
            evaluation_data=self.files.evaluation.source if self.files.evaluation else None,
            tests=tuple(file.source for file in self.files.tests),
            licence=job.data_licence,
            template_sha256=facts["template"],
            tokenizer_sha256=facts["tokenizer"],
            objective=self.recipe.objective,
            seed=job.seed,
            filters=job.filters,
            training=Part(
                read=outcome.training.read,
                rows=len(selected.training),
                dropped=dropped,
                tokens=int(lengths.sum()),
                learned_tokens=outcome.learned["training"],
            ),
            evaluation=Part(
                read=evaluation.read if evaluation else 0,
                rows=len(selected.evaluation),
                dropped=evaluation.dropped if evaluation else {},
                tokens=held,
                learned_tokens=outcome.learned["evaluation"],
            ),
            token_histogram=_histogram(lengths),
            languages=outcome.filters.languages,
            personal_data=outcome.filters.personal,
            abusive_rows=abusive,
            abuse_rate=abusive / len(selected.training),
            duplicate_rate=copies / (len(outcome.training.numbers) + dropped[reasons.COPY]),
            leak_rate=len(selected.leaks) / len(selected.evaluation),
            leaks=tuple(
                Leak(evaluation=spool.line(leak.test), training=spool.line(leak.training))
                for leak in selected.leaks[: cards.SHOWN]
            ),
            overlapping_rows=selected.overlapping,
            returned_rows=selected.returned,
            packing=_packing(lengths, self.recipe),
        )


def _packing(lengths: npt.NDArray[np.int64], recipe: Recipe) -> Packing:
    """Without packing a row is as wide as the longest beside it; of rows that go one by one, none is padded."""
    if recipe.packing:
        rows = len(best_fit_decreasing(lengths, recipe.width))
        efficiency = int(lengths.sum()) / (rows * recipe.width)
    else:
        rows, efficiency = len(lengths), 1.0 if recipe.micro_rows == 1 else float(lengths.mean() / lengths.max())
    return Packing(width=recipe.width, packed=recipe.packing, rows=rows, efficiency=round(efficiency, 4))


def _histogram(lengths: npt.NDArray[np.int64]) -> dict[str, int]:
    """Rows by tokens: up to 16, up to 32, ... in the order of size."""
    powers, numbers = np.unique(np.maximum(np.ceil(np.log2(lengths)), 4).astype(int), return_counts=True)
    return {f"<={2**power}": number for power, number in zip(powers.tolist(), numbers.tolist(), strict=True)}


def _refuse_none_left(taken: Taken, shown_as: str, recipe: Recipe, *, dropped: Counter[str] | None = None) -> None:
    """Raise BadInput when every row was dropped: how many for each reason, and what to do about the most frequent.

    dropped: by reason, beside those that were never taken.
    """
    all_dropped = taken.dropped + (dropped or Counter())
    if taken.read - all_dropped.total() > 0:
        return
    counts = ", ".join(f"{number} {reason}" for reason, number in all_dropped.most_common())
    remedy = reasons.REMEDIES[all_dropped.most_common(1)[0][0]]
    raise BadInput(f"{shown_as}: 0 usable rows of {taken.read} ({counts}; width is {recipe.width}); {remedy}")
