"""Rows between the passes of `prepare`, in a file of the scratch folder: memory holds 48 bytes of each."""

import os
from array import array
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from trainer.data.masks import Document

_FIELDS = 6


class _Place(NamedTuple):
    start: int
    text: int  # bytes
    answer: int  # bytes
    line: int
    chosen: int  # tokens
    rejected: int  # tokens; 0: none


class Spool:
    """Rows by number, from 0: what they are compared by, and their tokens. Read back in any order."""

    def __init__(self, path: Path) -> None:
        """An empty one, in the place of what is there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("w+b")
        self._places = array("q")
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self._places) // _FIELDS

    def append(self, text: str, answer: str, documents: Sequence[Document]) -> None:
        """text, answer: normalised. documents: one, or the chosen and the rejected one."""
        parts = [text.encode(), answer.encode()]
        for document in documents:
            parts += [document.ids.astype(np.int32).tobytes(), document.learned.astype(np.bool_).tobytes()]
        lengths = [len(document) for document in documents]
        place = _Place(self._end, len(parts[0]), len(parts[1]), documents[0].line, lengths[0], sum(lengths[1:]))
        self._places.extend(place)
        content = b"".join(parts)
        self._file.write(content)
        self._end += len(content)

    def line(self, number: int) -> int:
        return self._place(number).line

    def lengths(self, number: int) -> tuple[int, int]:
        """Tokens of the document and of the rejected one (0: there is none)."""
        place = self._place(number)
        return place.chosen, place.rejected

    def text(self, number: int) -> str:
        place = self._place(number)
        return self._read(place.start, place.text).decode()

    def answer(self, number: int) -> str:
        place = self._place(number)
        return self._read(place.start + place.text, place.answer).decode()

    def documents(self, number: int) -> tuple[Document, ...]:
        place = self._place(number)
        start, documents = place.start + place.text + place.answer, []
        for tokens in (place.chosen, place.rejected):
            if tokens:
                content = self._read(start, 5 * tokens)
                ids, learned = content[: 4 * tokens], content[4 * tokens :]
                documents.append(
                    Document(place.line, np.frombuffer(ids, dtype=np.int32), np.frombuffer(learned, dtype=np.bool_))
                )
                start += 5 * tokens
        return tuple(documents)

    def _place(self, number: int) -> _Place:
        return _Place(*self._places[number * _FIELDS : (number + 1) * _FIELDS])

    def _read(self, start: int, length: int) -> bytes:
        if start + length > self._flushed:
            self._file.flush()
            self._flushed = self._end
        return os.pread(self._file.fileno(), length, start)

    _flushed = 0
