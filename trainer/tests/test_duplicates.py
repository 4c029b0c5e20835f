import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.duplicates import clusters, refuse_leaks, split, without_copies
from trainer.data.formats import Row, Turn
from trainer.outcomes import BadInput

WORDS = [f"w{number}" for number in range(60)]


def _row(line: int, text: str, system: str = "s") -> Row:
    return Row(line, (Turn("system", system), Turn("user", text), Turn("assistant", text, learned=True)))


LONG = " ".join(WORDS)
CHANGED = LONG.replace("w3 ", "other ")
DIFFERENT = " ".join(reversed(WORDS))


def test_a_row_with_one_word_changed_is_in_the_cluster_of_the_other() -> None:
    assert clusters([_row(1, LONG), _row(2, DIFFERENT), _row(3, CHANGED)]) == [0, 1, 0]


def test_a_shared_system_turn_makes_no_duplicates() -> None:
    assert clusters([_row(1, "open the door", LONG), _row(2, "close a window", LONG)]) == [0, 1]


def test_copies_differ_at_most_in_case_and_white_space() -> None:
    kept = without_copies([_row(1, "Open it"), _row(2, "open  it"), _row(3, "shut it")])

    assert [row.line for row in kept] == [1, 3]


def test_a_held_out_row_that_was_trained_on_is_refused_by_its_line() -> None:
    with pytest.raises(BadInput, match="1 of 2 held-out rows") as caught:
        refuse_leaks([_row(7, LONG)], [_row(1, DIFFERENT), _row(2, CHANGED)], shown_as="h.jsonl")

    assert caught.value.details == ("h.jsonl:2: is a near-duplicate of training row 7",)


@given(st.lists(st.sampled_from(WORDS[:12]), min_size=2, max_size=40), st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_a_split_cuts_no_cluster_and_loses_no_row(texts: list[str], seed: int) -> None:
    rows = [_row(line, f"{text} " * 6) for line, text in enumerate(texts)]
    if len(set(texts)) == 1:
        with pytest.raises(BadInput, match="near-duplicates of one another"):
            split(rows, share=0.1, seed=seed)
        return

    training, held = split(rows, share=0.1, seed=seed)

    assert sorted(row.line for row in training + held) == list(range(len(rows)))
    assert held
    assert {row.text for row in training}.isdisjoint(row.text for row in held)
