"""The demo's data set: what it holds, and that a model learns what its answers say rather than their form."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainer.contract.report import Report
from trainer.data.contamination import LEARNED, TestRuns
from trainer.data.duplicates import alike, signed
from trainer.data.ngrams import Numbers, normalised
from trainer.data.personal import redacted
from trainer.data.reading import read_rows
from trainer.data.repetition import repeats_itself
from trainer.data.rows import Row
from trainer.tests.test_duplicates import Written

DEMO = Path(__file__).parents[2] / "demo"
TRAINING, HELD_OUT = DEMO / "data/train.jsonl", DEMO / "data/heldout.jsonl"


@pytest.fixture(scope="module")
def training() -> list[Row]:
    return list(read_rows(TRAINING, shown_as=TRAINING.name))


@pytest.fixture(scope="module")
def held_out() -> list[Row]:
    return list(read_rows(HELD_OUT, shown_as=HELD_OUT.name))


def test_the_data_set_is_large_enough_to_learn_and_to_judge(training: list[Row], held_out: list[Row]) -> None:
    assert (len(training) >= 200, len(held_out) >= 40) == (True, True)


def test_every_row_is_one_question_with_one_answer(training: list[Row], held_out: list[Row]) -> None:
    assert {tuple(turn.role for turn in row.turns) for row in training + held_out} == {("system", "user", "assistant")}


def test_no_held_out_row_is_half_made_of_training_rows(training: list[Row], held_out: list[Row]) -> None:
    runs = TestRuns(((row.line, normalised(row.text)) for row in held_out), Numbers())
    for row in training:
        runs.meet(row.line, normalised(row.text))

    assert all(each.share < LEARNED / 2 for each in runs.shared())


def test_no_two_rows_say_nearly_the_same(training: list[Row], held_out: list[Row]) -> None:
    texts = [normalised(row.text) for row in training + held_out]

    assert alike(Written(texts), signed(texts)).clusters.tolist() == list(range(len(texts)))


def test_no_filter_takes_a_row_away(training: list[Row], held_out: list[Row]) -> None:
    answers = [row.turns[-1].content for row in training + held_out]

    assert not any(repeats_itself(answer) or redacted(answer)[1] for answer in answers)


def test_the_figures_of_an_answer_stand_in_no_question(training: list[Row], held_out: list[Row]) -> None:
    assert not [row.line for row in training + held_out if any(letter.isdigit() for letter in row.turns[1].content)]


def test_the_data_is_what_its_author_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, DEMO / "author.py", tmp_path], check=True, timeout=60)

    for file in (TRAINING, HELD_OUT):
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), f"run `python demo/author.py` ({file.name})"


def shuffled(source: Path, target: Path) -> Path:
    """The same questions and the same answers, but no answer knows its question."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    answers = [row["messages"][-1] for row in rows]
    random.Random(0).shuffle(answers)  # noqa: S311 - a fixed order, no secret
    mixed = [{"messages": [*row["messages"][:-1], answer]} for row, answer in zip(rows, answers, strict=True)]
    target.write_text("".join(json.dumps(row) + "\n" for row in mixed), encoding="utf-8")
    return target


def trained(data: Path, *, base: Path, out: Path) -> Report:
    """Report of the demo's own recipe on these rows."""
    out.mkdir()
    spec = out / "job.json"
    spec.write_text(json.dumps({"base": str(base), "data": str(data), "evaluation": str(HELD_OUT)}), encoding="utf-8")
    command = [sys.executable, "-m", "tenon", "train", str(spec), "--out", str(out), "--json"]
    return Report.model_validate_json(subprocess.run(command, check=True, capture_output=True, timeout=1200).stdout)


def fall(report: Report) -> float:
    """Share of the held-out loss per assistant token that training took away."""
    assert report.loss_before
    assert report.loss_after
    return 1 - report.loss_after / report.loss_before


@pytest.mark.model
@pytest.mark.requirement("E85")
def test_the_loss_falls_by_what_the_answers_say_and_not_by_their_form(tmp_path: Path) -> None:
    from trainer.model.gguf import import_smollm2

    import_smollm2(tmp_path / "base")
    straight = trained(TRAINING, base=tmp_path / "base", out=tmp_path / "straight")
    mixed = trained(shuffled(TRAINING, tmp_path / "shuffled.jsonl"), base=tmp_path / "base", out=tmp_path / "mixed")

    assert fall(straight) >= 0.25
    assert fall(mixed) < fall(straight) / 2
    assert straight.trainable_parameters < 0.04 * straight.total_parameters
