"""Rows of every kind of file, and what is said of files that are none."""

import gzip
import json
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.contract.filters import Filters
from trainer.data import files
from trainer.data.elements import elements
from trainer.data.reading import read_rows
from trainer.data.rows import Row
from trainer.outcomes import BadInput

PAIRS = [{"prompt": f"q{number}", "completion": f"a{number}, and more"} for number in range(3)]


def _json_lines(path: Path) -> Path:
    path.write_text("\n".join(json.dumps(pair) for pair in PAIRS))
    return path


def _json_list(path: Path) -> Path:
    path.write_text(json.dumps(PAIRS, indent=1))
    return path


def _csv(path: Path) -> Path:
    lines = ["prompt, completion", *(f'{pair["prompt"]},"{pair["completion"]}"' for pair in PAIRS)]
    path.write_text("\r\n".join(lines))
    return path


def _parquet(path: Path) -> Path:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.Table.from_pylist(PAIRS), path)
    return path


def _zipped(path: Path) -> Path:
    path.write_bytes(gzip.compress(_json_lines(path).read_bytes()))
    return path


KINDS: dict[str, Callable[[Path], Path]] = {
    "rows.jsonl": _json_lines,
    "rows.json": _json_list,
    "lines.json": _json_lines,
    "rows.csv": _csv,
    "rows.parquet": _parquet,
    "rows.jsonl.gz": _zipped,
    "lines without a suffix": _json_lines,
    "list without a suffix": _json_list,
    "parquet without a suffix": _parquet,
}


@pytest.mark.requirement("E75")
@pytest.mark.parametrize(("name", "write"), KINDS.items(), ids=KINDS)
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, name: str, write: Callable[[Path], Path]) -> None:
    rows = list(read_rows(write(tmp_path / name), shown_as=name))

    assert [[turn.content for turn in row.turns] for row in rows] == [list(pair.values()) for pair in PAIRS]


def test_a_cell_may_hold_lines_and_json(tmp_path: Path) -> None:
    said = json.dumps([{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]).replace('"', '""')
    (tmp_path / "d.csv").write_text(f'id,conversations\n1,"{said}"\n\n2,"{said}"\n')
    (tmp_path / "e.csv").write_text('text\n"one\ntwo"\nthree\n')

    assert [row.line for row in read_rows(tmp_path / "d.csv", shown_as="d")] == [2, 4]
    assert [(row.line, row.text) for row in read_rows(tmp_path / "e.csv", shown_as="e")] == [
        (2, "one\ntwo"),
        (4, "three"),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    for name in ("d.jsonl", "d.json", "d.csv"):
        path = KINDS[f"rows.{name[2:]}"](tmp_path / name)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert len(list(read_rows(path, shown_as=name))) == 3


BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("d.jsonl", b"", "holds no row"),
    "blank lines": ("d.jsonl", b"\n\n", "holds no row"),
    "an empty list": ("d.json", b"[ ]", "holds no row"),
    "a CSV of names": ("d.csv", b"prompt,completion\n", "holds no row"),
    "binary": ("d.jsonl", b"\x89PNG\r\n\xff\xfe", "d.jsonl:1: is not UTF-8 text"),
    "NUL": ("d.jsonl", b'{"text": "a"}\n{"prompt": "\0"}', r"holds NUL bytes \(line 2\)"),
    "NUL in a list": ("d.json", b"[\0]", "holds NUL bytes"),
    "UTF-16": ("d.jsonl", "{}".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
    "one bad byte": ("d.jsonl", b'{"text": "a"}\n{"text": "\xff"}', "d.jsonl:2: is not UTF-8 text"),
    "one bad byte in a list": ("d.json", b'[{"text": "\xff"}]', "is not UTF-8 text"),
    "not JSON": ("d.jsonl", b"{", "d.jsonl:1: is not JSON: Expecting property name .* column 2"),
    "deep": ("d.jsonl", b"[" * 100_000, "nested too deeply"),
    "a deep list": ("d.json", b"[" * 100_000, "d.json row 1: is nested too deeply"),
    "a key twice": ("d.jsonl", b'{"text": "a", "text": "b"}', "text: stands twice"),
    "a key twice in a list": ("d.json", b'[{"text": "a", "text": "b"}, {"text": "c"}]', "1 of 2 .* text: stands twice"),
    "no number": ("d.jsonl", b'{"text": "a", "x": NaN}', "holds NaN, which is no JSON"),
    "a huge number": ("d.jsonl", b'{"text": "a", "x": ' + b"1" * 5000 + b"}", "a number of 5000 digits"),
    "a list that ends early": ("d.json", b'[{"text": "a"}', "row 2: is missing: the file ends"),
    "a list with a comma too many": ("d.json", b'[{"text": "a"},]', "row 2: is missing after a comma"),
    "a list without a comma": ("d.json", b'[{"text": "a"} {"text": "b"}]', "row 2: begins without a comma"),
    "a list and more": ("d.json", b'[{"text": "a"}] 5', "row 2: stands behind the end"),
    "a list with a broken row": ("d.json", b'[{"text": "a"}, {"text" "b"}]', "row 2: is not JSON"),
    "a CSV line too short": ("d.csv", b"prompt,completion\nq\n", "d.csv:2: has 1 fields and the first line names 2"),
    "an open quote": ("d.csv", b'text\n"a\n', "d.csv:2: is not CSV"),
    "a cell that is no JSON": ("d.csv", b"messages\n[{\n", "d.csv:2: messages: is not JSON"),
    "columns of no form": ("d.csv", b"a,b\n1,2\n", "d.csv:2: has none of the keys"),
    "columns by semicolons": ("d.csv", b"prompt;completion\nq;a\n", "d.csv:1: separates the columns by ';'"),
    "columns by tabs": ("d.tsv", b"prompt\tcompletion\nq\ta\n", "separated by tabs; save it as .csv"),
    "a column twice": ("d.csv", b"text,text\na,b\n", "d.csv:1: names the column 'text' twice"),
    "one object over lines": ("d.json", b'{\n "text": "a"\n}', "one object over several lines; give one row a line"),
    "a list within an object": ("d.json", b'{"data": [{"text": "a"}]}', "data: holds a list of objects"),
    "half a gzip": ("d.jsonl.gz", gzip.compress(b'{"text": "a"}')[:-6], "is a broken gzip file"),
    "no Parquet": ("d.parquet", b"PAR1 and nothing", "is no Parquet file"),
}


@pytest.mark.requirement("E75")
@pytest.mark.parametrize(("name", "content", "text"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_refused_with_its_reason(tmp_path: Path, name: str, content: bytes, text: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(BadInput, match=text):
        list(read_rows(tmp_path / name, shown_as=name))


def test_every_bad_row_is_named_by_its_line_and_counted(tmp_path: Path) -> None:
    good = json.dumps(PAIRS[0])
    (tmp_path / "d.jsonl").write_text(f"{good}\n{{\n\n{good}\n" + "5\n" * 30)

    with pytest.raises(BadInput, match="31 of 33 rows are malformed") as caught:
        list(read_rows(tmp_path / "d.jsonl", shown_as="d.jsonl"))

    assert [detail.split(": ")[0] for detail in caught.value.details][:3] == ["d.jsonl:2", "d.jsonl:5", "d.jsonl:6"]
    assert len(caught.value.details) == 20


def test_no_more_rows_are_read_than_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps(PAIRS[0]) + "\n" + json.dumps(PAIRS[1]) + "\n{")

    assert len(list(read_rows(path, shown_as="d", filters=Filters(max_rows=2)))) == 2


def test_a_larger_file_than_allowed_is_refused_unread(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"filters.maxBytes allows 10; raise it"):
        list(read_rows(_json_lines(tmp_path / "d.jsonl"), shown_as="d", filters=Filters(max_bytes=10)))


def test_parquet_without_its_extra_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(BadInput, match="needs the extra `parquet`"):
        list(read_rows(tmp_path / "d.parquet", shown_as="d.parquet"))


def _peak(path: Path) -> int:
    """Most bytes that reading a file took, whether it is refused or not."""
    tracemalloc.start()
    try:
        for _ in read_rows(path, shown_as="d"):
            pass
    except BadInput:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


@pytest.mark.requirement("E74")
@pytest.mark.parametrize("kind", ["rows.jsonl", "rows.json"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, kind: str) -> None:
    def written(rows: int) -> Path:
        texts = [json.dumps({"prompt": f"q{number}", "completion": "a" * 300}) for number in range(rows)]
        path = tmp_path / f"{rows}-{kind}"
        path.write_text("[" + ",".join(texts) + "]" if kind == "rows.json" else "\n".join(texts))
        return path

    assert _peak(written(16_000)) < _peak(written(8_000)) + (1 << 16)


@pytest.mark.parametrize("opening", [b'{"text": "', b'[{"text": "'], ids=["line", "list"])
def test_a_row_of_100_mb_is_refused_without_being_held(tmp_path: Path, opening: bytes) -> None:
    path = tmp_path / "d.json"
    with path.open("wb") as file:
        file.write(opening)
        for _ in range(100):
            file.write(b"a" * (1 << 20))
        file.write(b'"}\n{"text": "b"}')

    assert _peak(path) < 60 << 20
    with pytest.raises(BadInput, match="longer than 8 MB"):
        list(read_rows(path, shown_as="d"))


def test_rows_of_parquet_are_bounded_as_lines_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that stands in several rows is written once, so a small file may hold very much."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    taken: list[int] = []

    def made(batch: Any) -> Iterator[Any]:
        taken.append(batch.nbytes)
        return rows_of(batch)

    rows_of = files._rows_of
    monkeypatch.setattr(files, "LONGEST", 100_000)
    monkeypatch.setattr(files, "_BATCH_BYTES", 1_000_000)
    monkeypatch.setattr(files, "_rows_of", made)
    texts = ["q", *["a" * 90_000] * 40, *["a" * 200_000] * 40]
    parquet.write_table(arrow.table({"prompt": texts, "completion": ["a"] * 81}), tmp_path / "d.parquet")

    assert (tmp_path / "d.parquet").stat().st_size < 100_000
    with pytest.raises(BadInput, match=r"40 of 81 rows are malformed.* longer than 8 MB"):
        list(read_rows(tmp_path / "d.parquet", shown_as="d"))
    assert max(taken) <= 1_000_000


def test_a_broken_parquet_file_says_what_is_broken(tmp_path: Path) -> None:
    path = _parquet(tmp_path / "d.parquet")
    content = bytearray(path.read_bytes())
    content[4:40] = b"\xff" * 36
    path.write_bytes(content)

    with pytest.raises(BadInput, match=r"is no Parquet file that can be read \((?!None)"):
        list(read_rows(path, shown_as="d"))


def test_parquet_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table([["a"], ["b"]], names=["text", "text"]), tmp_path / "d.parquet")

    with pytest.raises(BadInput, match="names the column 'text' twice"):
        list(read_rows(tmp_path / "d.parquet", shown_as="d"))


def test_a_cell_of_csv_may_be_as_long_as_a_line(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("text\n" + "a" * 200_000 + "\n")

    assert len(next(read_rows(tmp_path / "d.csv", shown_as="d")).text) == 200_000


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(VALUES, max_size=4), st.integers(1, 7))
@settings(max_examples=30, deadline=None)
def test_a_list_gives_its_elements_however_it_is_cut_into_pieces(values: list[Any], size: int) -> None:
    text = json.dumps(values)
    pieces = iter([text[start : start + size] for start in range(0, len(text), size)])

    found = list(elements(lambda: next(pieces, ""), longest=1 << 20))

    assert found == list(enumerate(values, start=1))


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_give_rows_or_a_reason(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "d.json"
    path.write_bytes(content)

    with suppress(BadInput):
        assert all(isinstance(row, Row) for row in read_rows(path, shown_as="d"))


def test_of_a_list_rows_are_counted_and_of_lines_lines(tmp_path: Path) -> None:
    for kind, counted in (("rows.json", "row"), ("rows.parquet", "row"), ("rows.jsonl", "line"), ("rows.csv", "line")):
        rows = list(read_rows(KINDS[kind](tmp_path / kind), shown_as=kind))
        assert {row.counted for row in rows} == {counted}
        assert rows[-1].line == {"rows.csv": 4}.get(kind, 3)
