"""Rows of a file as JSON values, one after another: JSON Lines, a JSON list, CSV, Parquet; the text forms also gzipped.

The form is told by the name, else by the first bytes. Memory is bounded by the longest row that is accepted, whatever
the file holds; of Parquet by the longest row of text columns, since a list of one row may repeat one text without end.
"""

import codecs
import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from trainer.data.elements import Decoder, elements
from trainer.data.fields import Fault
from trainer.data.rows import Counted
from trainer.outcomes import BadInput

LONGEST = 8 << 20  # bytes of one row
_PIECE = 1 << 20
_BATCH_ROWS, _BATCH_BYTES = 256, 128 << 20  # of Parquet, at most at once
_LARGEST_GROUP = 2 << 30  # bytes; writers make groups of a tenth of it
_ZIPPED, _PARQUET = b"\x1f\x8b", b"PAR1"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_IN_CELLS = ("messages", "conversations", "history", "tools", "chosen", "rejected")  # columns that may hold JSON
_TOO_LONG = f"is longer than {LONGEST >> 20} MB; cut the row into several"

Found = tuple[int, Any]  # number of the row and its value, or the Fault that stands in its place


@dataclass(frozen=True)
class Rows:
    """counted: what the numbers are, from 1."""

    counted: Counted
    found: Iterator[Found]


@contextmanager
def opened(path: Path, *, shown_as: str) -> Iterator[Rows]:
    """The rows of a file. Raises BadInput, also while they are taken, for what is wrong with the file as a whole."""
    name = path.name.lower().removesuffix(".gz")
    try:
        with path.open("rb") as raw:
            is_zipped = raw.read(2) == _ZIPPED
        with cast("BinaryIO", gzip.open(path)) if is_zipped else path.open("rb") as file:
            first = file.read(64)
            file.seek(0)
            if name.endswith(".parquet") or first.startswith(_PARQUET):
                yield Rows("row", _parquet(path))
            elif first.startswith(_UTF16):
                raise BadInput(f"{shown_as}: is UTF-16 text; save it as UTF-8")
            elif name.endswith(".tsv"):
                raise BadInput(f"{shown_as}: has columns separated by tabs; save it as .csv, separated by commas")
            elif not name.endswith(".jsonl") and first.split(b"\n")[0].strip(b"\xef\xbb\xbf \t\r") == b"{":
                raise BadInput(f"{shown_as}: is one object over several lines; give one row a line, or a list of rows")
            elif name.endswith(".csv"):
                yield Rows("line", _csv(file))
            elif first.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[") and not name.endswith(".jsonl"):
                yield Rows("row", elements(_texts(file), longest=LONGEST))
            else:
                yield Rows("line", _json_lines(file))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(f"{shown_as}: is a broken gzip file ({error}); pack it again") from error
    except _NotText as error:
        raise BadInput(f"{shown_as}: {error}; give rows as text, not a binary file") from error
    except OSError as error:
        raise BadInput(f"{shown_as}: cannot be read ({error.strerror}); mend the path") from error


class _NotText(Exception):  # noqa: N818 - turned into BadInput with the file's name
    """The file is no text file."""


def _json_lines(file: BinaryIO) -> Iterator[Found]:
    decoder = Decoder()
    for number, line in _lines(file):
        if isinstance(line, Fault):
            yield number, line
        elif line.strip():
            try:
                yield number, decoder.whole(line)
            except Fault as fault:
                yield number, fault


def _lines(file: BinaryIO) -> Iterator[tuple[int, str | Fault]]:
    """Lines with their ends. One that is no UTF-8 text or too long is a fault, and never in memory as a whole."""
    number = 0
    while piece := file.readline(LONGEST + 1):
        number += 1
        if len(piece) > LONGEST:
            while piece and not piece.endswith(b"\n"):
                piece = file.readline(_PIECE)
            yield number, Fault(_TOO_LONG)
            continue
        if b"\0" in piece:
            raise _NotText(f"holds NUL bytes (line {number})")
        try:
            yield number, piece.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").decode()
        except UnicodeDecodeError as error:
            yield number, Fault(f"is not UTF-8 text (byte {error.start} of the line); save the file as UTF-8")


def _texts(file: BinaryIO) -> Callable[[], str]:
    """A function that returns the next piece of the text, at last the empty string."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()

    def piece() -> str:
        while raw := file.read(_PIECE):
            if b"\0" in raw:
                raise _NotText("holds NUL bytes")
            if text := _decoded(decoder, raw):
                return text
        return _decoded(decoder, b"", final=True)

    return piece


def _decoded(decoder: codecs.IncrementalDecoder, raw: bytes, *, final: bool = False) -> str:
    try:
        return decoder.decode(raw, final)
    except UnicodeDecodeError as error:
        raise _NotText(f"is not UTF-8 text ({error.reason}); save it as UTF-8") from error


def _csv(file: BinaryIO) -> Iterator[Found]:
    def texts() -> Iterator[str]:
        for _, line in _lines(file):
            if isinstance(line, Fault):
                raise csv.Error(str(line))
            yield line

    csv.field_size_limit(LONGEST)  # of the process; nothing else in it reads CSV
    reader = csv.reader(texts(), strict=True)
    names: list[str] | None = None
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:  # the reader has lost its place
            yield number, Fault(f"is not CSV ({error}); mend the line, or give JSON Lines")
            return
        if cells is None:
            return
        if names is None:
            names = [cell.strip() for cell in cells]
            if (fault := _columns_fault(names)) is not None:
                yield number, fault
                return
        elif cells:
            yield number, _named(names, cells)


def _columns_fault(names: Sequence[str]) -> Fault | None:
    if twice := [name for name in names if names.count(name) > 1]:
        return Fault(f"names the column {twice[0]!r} twice; keep one of them")
    other = next((mark for mark in ";\t|" if len(names) == 1 and mark in names[0]), None)
    return None if other is None else Fault(f"separates the columns by {other!r}; separate them by commas")


def _named(names: Sequence[str], cells: Sequence[str]) -> dict[str, Any] | Fault:
    if len(cells) != len(names):
        return Fault(f"has {len(cells)} fields and the first line names {len(names)}; quote fields that hold commas")
    row: dict[str, Any] = dict(zip(names, cells, strict=True))
    for name in _IN_CELLS:
        if str(row.get(name, "")).lstrip().startswith(("[", "{")):
            try:
                row[name] = json.loads(row[name])
            except (ValueError, RecursionError) as error:
                return Fault(f"{name}: is not JSON ({error}); mend the cell")
    return row


def _parquet(path: Path) -> Iterator[Found]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise BadInput(
            f"{path.name}: reading Parquet needs the extra `parquet` (pyarrow); install it, or give JSON Lines"
        ) from error
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            if (fault := _columns_fault(file.schema_arrow.names)) is not None:
                raise BadInput(f"{path.name}: {fault}")
            for group in range(file.num_row_groups):
                size = _batch_rows(file.metadata.row_group(group), path)
                for batch in file.iter_batches(batch_size=size, row_groups=[group], use_threads=False):
                    for row in _rows_of(batch):
                        number += 1
                        yield number, row
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path.name}: is no Parquet file that can be read ({error}); write it again") from error


def _batch_rows(group: Any, path: Path) -> int:
    """How many rows are taken at once: a text that stands once in the file may stand in each of them."""
    largest: int = sum(group.column(number).total_uncompressed_size for number in range(group.num_columns))
    if largest > _LARGEST_GROUP:
        raise BadInput(f"{path.name}: has a row group of {largest >> 20} MB; write it with groups of 100 MB")
    return min(max(_BATCH_BYTES // max(largest, 1), 1), _BATCH_ROWS)


def _rows_of(batch: Any) -> Iterator[Any]:
    """Rows of an Arrow batch; one that is too long is a fault, and never made into Python's values."""
    if batch.nbytes <= LONGEST:
        yield from batch.to_pylist()
        return
    for place in range(batch.num_rows):
        row = batch.slice(place, 1)
        yield Fault(_TOO_LONG) if row.nbytes > LONGEST else row.to_pylist()[0]
