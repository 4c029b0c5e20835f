"""Rows of a training: what packing saves, that it loses nothing, and that documents need not be in memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from trainer.contract.recipe import Recipe
from trainer.data.dataset import Dataset, DatasetWriter, Facts
from trainer.data.documents import Documents, lengths_of
from trainer.data.masks import ChatTokenizer, Document
from trainer.data.packing import IGNORED, best_fit_decreasing, rows_of
from trainer.data.reading import read_rows
from trainer.publishing.manifest import Incomplete
from trainer.tests.test_demo_data import TRAINING

FACTS = Facts(fingerprint="f" * 64, dropped={})


def instruction_lengths(number: int) -> npt.NDArray[np.int64]:
    """Tokens of rows as instruction data sets have them: log-normal, 200 on average, one in twenty above 445.

    Alpaca-style rows in SmolLM2's tokens were measured at 206 on average, one in twenty above 452.
    """
    drawn = np.random.default_rng(0).lognormal(np.log(200) - 0.18, 0.6, number)
    return np.maximum(12, drawn).astype(np.int64)


@pytest.mark.requirement("E75")
@pytest.mark.parametrize(("width", "saved"), [(512, 2.4), (1024, 5.0)])
def test_packing_computes_a_fraction_of_what_padding_computes(width: int, saved: float) -> None:
    lengths = instruction_lengths(20_000)
    fitting = lengths[lengths <= width]

    rows = len(best_fit_decreasing(fitting, width))

    assert fitting.sum() / (rows * width) >= 0.97
    assert len(fitting) / rows >= saved


@pytest.mark.model
@pytest.mark.parametrize(("width", "saved"), [(512, 5.0), (1024, 10.0)])
def test_packing_the_demos_rows_computes_a_fraction_too(tmp_path: Path, width: int, saved: float) -> None:
    from trainer.model.gguf import import_smollm2

    import_smollm2(tmp_path / "base")
    rows = list(read_rows(TRAINING, shown_as="train.jsonl"))
    documents = [one for (one,) in ChatTokenizer(tmp_path / "base").documents(rows)]

    assert len(rows) / len(rows_of(documents, Recipe(width=width))) >= saved


@given(st.lists(st.integers(1, 64), max_size=80))
@settings(max_examples=40, deadline=None)
def test_each_document_goes_into_the_fullest_row_that_holds_it(lengths: list[int]) -> None:
    expected: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        room = [64 - sum(lengths[other] for other in row) for row in expected]
        fitting = [place for place, free in enumerate(room) if free >= lengths[index]]
        if fitting:
            expected[min(fitting, key=lambda place: room[place])].append(index)
        else:
            expected.append([index])

    found = best_fit_decreasing(lengths, 64)

    assert sorted(index for row in found for index in row) == list(range(len(lengths)))
    assert sorted(sum(lengths[index] for index in row) for row in found) == sorted(
        sum(lengths[index] for index in row) for row in expected
    )


def test_a_document_wider_than_a_row_is_named() -> None:
    with pytest.raises(ValueError, match="document 1: 65 tokens are more than a row holds"):
        best_fit_decreasing([3, 65], 64)


def _document(line: int, length: int) -> Document:
    ids = np.arange(line * 100, line * 100 + length, dtype=np.int32)
    return Document(line, ids, ids % 2 == 0)


DOCUMENTS = [_document(line, length) for line, length in enumerate([20, 12, 30, 2, 7, 9], start=1)]


def _lines(ids: npt.NDArray[np.int64]) -> list[int]:
    """Lines of the documents in a row, in order."""
    return list(dict.fromkeys((ids // 100).tolist()))


def test_a_pair_stays_in_one_row_chosen_first() -> None:
    rows = rows_of(DOCUMENTS, Recipe(objective="dpo", width=40))

    assert sorted(_lines(row.ids) for row in rows) == [[1, 2], [3, 4], [5, 6]]


def test_pairs_share_rows() -> None:
    (row,) = rows_of(DOCUMENTS, Recipe(objective="dpo", width=80))

    assert [place for place, position in enumerate(row.positions) if position == 0] == [0, 20, 32, 62, 64, 71]
    assert all(row.labels[row.positions == 0] == IGNORED)


def test_without_packing_a_row_is_one_document_or_one_pair() -> None:
    alone = rows_of(DOCUMENTS, Recipe(packing=False))
    pairs = rows_of(DOCUMENTS, Recipe(packing=False, objective="dpo"))

    assert [_lines(row.ids) for row in alone] == [[1], [2], [3], [4], [5], [6]]
    assert [_lines(row.ids) for row in pairs] == [[1, 2], [3, 4], [5, 6]]


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    Dataset(FACTS, DOCUMENTS, []).save(tmp_path / "prepared")

    found = Dataset.load(tmp_path / "prepared")

    assert [(one.line, one.ids.tolist(), one.learned.tolist()) for one in found.training] == [
        (one.line, one.ids.tolist(), one.learned.tolist()) for one in DOCUMENTS
    ]
    assert len(found.evaluation) == 0
    assert lengths_of(found.training).tolist() == lengths_of(DOCUMENTS).tolist()
    assert [row.ids.tolist() for row in rows_of(found.training, Recipe(width=40))] == [
        row.ids.tolist() for row in rows_of(DOCUMENTS, Recipe(width=40))
    ]


def test_the_files_are_what_safetensors_reads(tmp_path: Path) -> None:
    Dataset(FACTS, DOCUMENTS, []).save(tmp_path / "prepared")

    ids = load_file(tmp_path / "prepared/training.ids.safetensors")["ids"]

    assert ids.tolist() == np.concatenate([document.ids for document in DOCUMENTS]).tolist()


@pytest.mark.parametrize("index", [6, -7])
def test_there_is_no_document_outside(tmp_path: Path, index: int) -> None:
    Dataset(FACTS, DOCUMENTS, []).save(tmp_path / "prepared")
    found = Documents(tmp_path / "prepared", "training")

    assert found[-1].line == 6
    assert [one.line for one in found[1:3]] == [2, 3]
    with pytest.raises(IndexError):
        found[index]


@pytest.mark.parametrize("name", ["training.ids.safetensors", "dataset.json"])
def test_a_changed_byte_of_the_data_set_is_noticed(tmp_path: Path, name: str) -> None:
    Dataset(FACTS, DOCUMENTS, []).save(tmp_path / "prepared")
    content = bytearray((tmp_path / "prepared" / name).read_bytes())
    content[-1] ^= 1
    (tmp_path / "prepared" / name).write_bytes(content)

    with pytest.raises(Incomplete, match=f"{name}: has sha256"):
        Dataset.load(tmp_path / "prepared")


@pytest.mark.requirement("E74")
def test_documents_are_never_all_in_memory(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        writer = DatasetWriter(tmp_path / "prepared")
        for line in range(20_000):
            writer.add("training", _document(line, 200))
        writer.finish(FACTS)
        found = Dataset.load(tmp_path / "prepared").training
        assert sum(len(found[number]) for number in range(0, len(found), 100)) == 200 * 200
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 0.25 * 20_000 * 200 * 5  # bytes of tokens and masks
