"""The first pass: rows through the filters, one after another, into the spool; what they are compared by in memory."""

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import cast

from trainer.data import filters
from trainer.data.duplicates import RUN
from trainer.data.filters import Accepted, RowFilters
from trainer.data.minhash import Signatures
from trainer.data.ngrams import Numbers, normalised
from trainer.data.progress import BATCH
from trainer.data.rows import Counted, Row, Turn, place
from trainer.data.spool import Spool
from trainer.data.toxicity import is_abusive
from trainer.outcomes import BadInput


@dataclass(frozen=True)
class Taken:
    """Rows of one file. numbers: in the spool. dropped: by reason."""

    numbers: range
    read: int
    dropped: Counter[str]


class Intake:
    """contents: 64 bits of each row's text. abusive: whether it holds a word of abuse."""

    def __init__(self, row_filters: RowFilters, spool: Spool) -> None:
        self._filters, self._spool, self._numbers = row_filters, spool, Numbers()
        self.signatures, self.contents, self.abusive = Signatures(), array("q"), bytearray()

    def take(self, rows: Iterable[Row], *, shown_as: str) -> Taken:
        """Raises BadInput for a row that the chat template cannot take, and as `rows` does."""
        first, read, before = len(self._spool), 0, self._filters.dropped.copy()
        seen: set[bytes] = set()
        for batch in _batches(rows):
            read += len(batch)
            for row, documents in self._accepted(batch, shown_as):
                turns, rejected = _normalised(row.turns), _normalised(row.rejected)
                if (digest := _digest(row, turns, rejected)) in seen:
                    self._filters.dropped[filters.COPY] += 1
                    continue
                seen.add(digest)
                text = _compared(turns)
                answer = " ".join(text for turn, text in turns + rejected if turn.learned)
                self._spool.append(text, answer, documents)
                self.signatures.append(self._numbers.runs(text, RUN))
                self.contents.append(content_of(text))
                self.abusive.append(is_abusive(text.split(" ")))
        return Taken(range(first, len(self._spool)), read, self._filters.dropped - before)

    def _accepted(self, batch: Sequence[Row], shown_as: str) -> list[Accepted]:
        try:
            return self._filters.accepted(batch)
        except BadInput as error:
            raise BadInput(_named(str(error), shown_as)) from error


def compared(row: Row) -> str:
    """What a row is compared by with others: its turns but the system's, each normalised."""
    return _compared(_normalised(row.turns))


def content_of(text: str) -> int:
    """64 bits, signed: equal for equal texts."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little", signed=True)


def _compared(turns: Sequence[tuple[Turn, str]]) -> str:
    return " ".join(text for turn, text in turns if turn.role != "system")


def _named(text: str, shown_as: str) -> str:
    """An error of ChatTokenizer with the file's name: it knows the row alone."""
    found = re.match(r"(line|row) (\d+)", text)
    return text if found is None else place(cast("Counted", found[1]), int(found[2]), shown_as) + text[found.end() :]


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def _normalised(turns: Sequence[Turn]) -> list[tuple[Turn, str]]:
    return [(turn, normalised(turn.text)) for turn in turns]


def _digest(row: Row, turns: Sequence[tuple[Turn, str]], rejected: Sequence[tuple[Turn, str]]) -> bytes:
    """The same for rows whose turns differ at most in case, punctuation and white space."""
    parts = [f"{turn.role} {turn.learned} {text}" for turn, text in (*turns, *rejected)]
    return hashlib.sha256("\0".join([str(len(turns)), *parts, repr(row.tools)]).encode()).digest()[:16]
