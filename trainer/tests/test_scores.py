"""Scores of answers: what counts as the same, that patterns end in time, that the libraries' own figures come out."""

import pytest
import sacrebleu

from trainer.evaluation import scores as module
from trainer.evaluation.scores import matched, normalised, scores
from trainer.outcomes import BadInput

REFERENCES = ["The river carries the garden today.", "Die Laterne trägt den Hafen.", "Она открывает окно."]
ANSWERS = ["The river carries a garden.", "Die Laterne trägt den Hafen.", "Она закрывает окно."]
NOTHING = ["", "x", "?"]


def test_bleu_and_chrf_are_sacrebleus_own() -> None:
    found = scores(REFERENCES, before=NOTHING, after=ANSWERS, answer=None)
    assert found["bleu"].after.value == pytest.approx(sacrebleu.corpus_bleu(ANSWERS, [REFERENCES]).score)
    assert found["chrf"].after.value == pytest.approx(sacrebleu.corpus_chrf(ANSWERS, [REFERENCES]).score)


def test_rouge_reads_letters_of_every_script() -> None:
    found = scores(REFERENCES[2:], before=["окно"], after=["Она закрывает окно."], answer=None)["rougeL"]
    assert found.before.value == pytest.approx(0.5)
    assert found.after.value == pytest.approx(2 / 3)


def test_a_figure_lies_within_its_interval() -> None:
    for score in scores(REFERENCES, before=NOTHING, after=ANSWERS, answer=None).values():
        assert score.after.low <= score.after.value <= score.after.high
        assert score.after.value > score.before.value


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1,250", "1250", True),
        ("$18.00", "18", True),
        ("+7", "7", True),
        ("-7", "7", False),
        ("0.50", "0.5", True),
        ("100", "1", False),
        ("50 %", "50", True),
        ("Yes.", "yes", True),
        ("a  b\n", "A b", True),
        ("\N{FULLWIDTH DIGIT SEVEN}", "7", True),
        ("1,2,3 go", "123 go", False),
    ],
)
def test_answers_are_the_same_by_what_they_say(one: str, other: str, same: bool) -> None:  # noqa: FBT001
    assert (normalised(one) == normalised(other)) is same


def test_exact_match_looks_at_the_group_and_leaves_out_rows_without_an_answer() -> None:
    references = ["so #### 1,200", "so #### 7", "no answer here"]
    before, after = ["#### 3", "7", "x"], ["well #### 1200", "#### 8", "x"]
    found = scores(references, before=before, after=after, answer=r"#### (\S+)")["exactMatch"]
    assert (found.rows, found.before.value, found.after.value) == (2, 0.0, 0.5)
    assert "exactMatch" not in scores(["none"], before=["a"], after=["b"], answer=r"#### (\S+)")


def test_a_pattern_that_tries_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATTERN_SECONDS", 0.5)
    with pytest.raises(BadInput, match=r"checks\.answer: .* write it without a repeat inside a repeat"):
        matched(r"((?:a+)+)$", ["a" * 4000 + "b"])


def test_an_optional_group_that_takes_no_part_is_no_answer() -> None:
    assert matched(r"x(y)?", ["x", "xy", "z"]) == [None, "y", None]
