"""A file of training rows -> conversations, one after another. Every bad row is named by its place.

A file with a bad row is refused as a whole: no row is lost in silence.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from trainer.contract.filters import Filters
from trainer.contract.recipe import Objective
from trainer.data.fields import Fault
from trainer.data.files import opened
from trainer.data.formats import row_of
from trainer.data.rows import Row, place
from trainer.outcomes import BadInput

_EVERY = Filters()
_SHOWN = 20  # bad rows listed one by one


def read_rows(
    path: Path, *, shown_as: str, filters: Filters = _EVERY, objective: Objective = "supervised"
) -> Iterator[Row]:
    """The rows of a file, read as they are taken; at most `filters.max_rows` of them.

    Raises BadInput for a file that is too large or no text at once, for bad rows when all have been read: all are
    counted, the first of them are details. So is a file without a row.
    """
    _refuse_size(path, filters.max_bytes, shown_as)
    good, faults = 0, list[str]()
    bad = 0
    with opened(path, shown_as=shown_as) as rows:
        for number, found in rows.found:
            if good + bad == filters.max_rows:
                break
            try:
                row = replace(_row(found, number, objective), counted=rows.counted)
            except Fault as fault:
                bad += 1
                if len(faults) < _SHOWN:
                    faults.append(f"{place(rows.counted, number, shown_as)}: {fault}")
            else:
                good += 1
                yield row
    if bad:
        counts = f"{bad} of {good + bad} rows are malformed"
        raise BadInput(f"{shown_as}: {counts}; mend them (first: {faults[0]})", faults)
    if not good:
        raise BadInput(f"{shown_as}: holds no row; give one conversation a row")


def _row(found: object, line: int, objective: Objective) -> Row:
    if isinstance(found, Fault):
        raise found
    return row_of(found, line, objective)


def _refuse_size(path: Path, most: int | None, shown_as: str) -> None:
    if most is None or not path.is_file():
        return
    if (size := path.stat().st_size) > most:
        raise BadInput(f"{shown_as}: has {size} bytes, filters.maxBytes allows {most}; raise it, or give fewer rows")
