"""Documents on disk: one safetensors file per column, written in pieces and read by memory map.

A million documents are a few hundred MB of tokens: they never all stand in memory, neither when they are written nor
when they are trained on.
"""

import json
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np
import numpy.typing as npt

from trainer.data.masks import Document

_HEADER = 256  # bytes kept free for the length and the JSON of a file's header, which is known only at the end
_TYPES: dict[str, np.dtype[Any]] = {"I32": np.dtype("<i4"), "I64": np.dtype("<i8"), "BOOL": np.dtype("?")}
_IDS, _LEARNED, _ENDS, _LINES = "ids", "learned", "ends", "lines"


class Documents(Sequence[Document]):
    """The documents of one part of a data set; each is a view into the mapped files."""

    def __init__(self, folder: Path, part: str) -> None:
        """Raises OSError when a file is missing, ValueError when it is no column."""
        self._ids, self._learned = _mapped(folder, part, _IDS), _mapped(folder, part, _LEARNED)
        self._ends, self._lines = _mapped(folder, part, _ENDS), _mapped(folder, part, _LINES)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Document: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Document, ...]: ...
    def __getitem__(self, index: int | slice) -> Document | tuple[Document, ...]:
        if isinstance(index, slice):
            return tuple(self[number] for number in range(*index.indices(len(self))))
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(index)
        place = slice(int(self._ends[number - 1]) if number else 0, int(self._ends[number]))
        return Document(int(self._lines[number]), self._ids[place], self._learned[place])

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each document."""
        return np.diff(self._ends, prepend=0)

    @property
    def learned_tokens(self) -> int:
        """Tokens that the loss counts, of all documents."""
        return int(np.count_nonzero(self._learned))


class DocumentWriter:
    """The files of one part, a document at a time. Only 16 bytes of each stay in memory."""

    def __init__(self, folder: Path, part: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._ids, self._learned = (
            _Column(folder, part, _IDS, kind="I32"),
            _Column(folder, part, _LEARNED, kind="BOOL"),
        )
        self._folder, self._part = folder, part
        self._ends, self._lines = array("q"), array("q")

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, document: Document) -> None:
        self._ids.add(document.ids)
        self._learned.add(document.learned)
        self._ends.append(len(document) + (self._ends[-1] if self._ends else 0))
        self._lines.append(document.line)

    def close(self) -> None:
        """Write what is still missing; the files are readable from here on."""
        for name, column in ((_ENDS, self._ends), (_LINES, self._lines)):
            numbers = _Column(self._folder, self._part, name, kind="I64")
            numbers.add(np.asarray(column, dtype=np.int64))
            numbers.close()
        self._ids.close()
        self._learned.close()

    def abandon(self) -> None:
        """Close the files as they are; after `close` nothing."""
        self._ids.abandon()
        self._learned.abandon()


def lengths_of(documents: Sequence[Document]) -> npt.NDArray[np.int64]:
    """Tokens of each document."""
    if isinstance(documents, Documents):
        return documents.lengths
    return np.fromiter((len(document) for document in documents), dtype=np.int64, count=len(documents))


class _Column:
    """One tensor of one dimension, appended to."""

    def __init__(self, folder: Path, part: str, name: str, *, kind: str) -> None:
        self._file: BinaryIO = _path(folder, part, name).open("wb")
        self._file.write(b" " * _HEADER)
        self._name, self._kind, self._length = name, kind, 0

    def add(self, values: npt.NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(values, dtype=_TYPES[self._kind]).data)
        self._length += len(values)

    def close(self) -> None:
        """The header: its length in 8 bytes, then JSON, filled up with blanks as the format allows."""
        size = self._length * _TYPES[self._kind].itemsize
        tensor = {"dtype": self._kind, "shape": [self._length], "data_offsets": [0, size]}
        header = json.dumps({self._name: tensor}).encode().ljust(_HEADER - 8)
        self._file.seek(0)
        self._file.write(len(header).to_bytes(8, "little") + header)
        self._file.close()

    def abandon(self) -> None:
        self._file.close()


def _path(folder: Path, part: str, name: str) -> Path:
    return folder / f"{part}.{name}.safetensors"


def _mapped(folder: Path, part: str, name: str) -> npt.NDArray[Any]:
    """A column as a read-only array of the file's own pages."""
    path = _path(folder, part, name)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length != _HEADER - 8:
            raise ValueError(f"{path}: is no column of a data set; prepare it again")
        tensor = json.loads(file.read(length))[name]
    count = tensor["shape"][0]
    if count == 0:  # nothing can be mapped of no bytes
        return np.empty((0,), dtype=_TYPES[tensor["dtype"]])
    return np.asarray(np.memmap(path, dtype=_TYPES[tensor["dtype"]], mode="r", offset=_HEADER, shape=(count,)))
