"""Rows of a test that stand in the training rows: runs of 13 words that both have."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.contamination import COMMON, RUN, Shared, TestRuns
from trainer.data.ngrams import Numbers, normalised

WORDS = [f"w{number}" for number in range(100)]
TEST = " ".join(WORDS[:40])


def met(tests: Sequence[str], training: Sequence[str]) -> TestRuns:
    runs = TestRuns(enumerate(map(normalised, tests)), Numbers())
    for number, text in enumerate(training):
        runs.meet(number, normalised(text))
    return runs


def others(number: int) -> list[str]:
    """Texts that share nothing with the test."""
    return [" ".join(f"x{text}y{place}" for place in range(20)) for text in range(number)]


def test_a_row_that_quotes_13_words_of_a_test_is_found_and_one_with_12_is_not() -> None:
    thirteen, twelve = " ".join(WORDS[5:18]), " ".join(WORDS[20:32])

    assert met([TEST], [*others(20), f"As they say: {thirteen}!", f"As they say: {twelve}!"]).holders() == {20}


def test_the_training_row_that_has_most_of_a_test_row_is_named() -> None:
    quotes = [" ".join(WORDS[:14]), " ".join(WORDS[10:40])]

    assert list(met([" ".join(WORDS[60:80]), TEST], [*others(20), *quotes]).shared()) == [Shared(1, 21, 20 / 28)]


def test_a_phrase_of_many_training_rows_proves_nothing() -> None:
    phrase = " ".join(WORDS[:13])
    training = [f"{phrase} {text}" for text in others(200)]

    assert not met([TEST], training[: COMMON + 1] + others(200)).holders()
    assert len(met([TEST], training[:COMMON] + others(200)).holders()) == COMMON


def test_a_common_phrase_is_left_out_of_the_share() -> None:
    phrase, rest = " ".join(WORDS[:13]), " ".join(WORDS[50:63])
    tests, training = [f"{phrase} {rest}"], [f"{phrase} {text}" for text in others(200)] + [rest]

    (found,) = met(tests, training).shared()

    assert found == Shared(0, 200, 1 / 13)  # of 14 runs one is common


@pytest.mark.parametrize(("tests", "training"), [([], [TEST]), ([TEST], []), (["short"], ["short"])])
def test_texts_without_a_run_share_none(tests: list[str], training: list[str]) -> None:
    assert not list(met(tests, training).shared())


@given(
    st.lists(st.lists(st.sampled_from("ab"), min_size=RUN, max_size=RUN + 4), max_size=4),
    st.lists(st.lists(st.sampled_from("ab"), min_size=RUN, max_size=RUN + 4), min_size=1, max_size=6),
)
@settings(max_examples=40, deadline=None)
def test_the_holders_are_those_of_the_definition(tests: list[list[str]], training: list[list[str]]) -> None:
    def runs(text: list[str]) -> set[tuple[str, ...]]:
        return {tuple(text[at : at + RUN]) for at in range(len(text) - RUN + 1)}

    wanted = set[tuple[str, ...]]().union(*map(runs, tests))
    common = {run for run in wanted if sum(run in runs(text) for text in training) > max(1, len(training) // 10)}

    expected = {number for number, text in enumerate(training) if runs(text) & (wanted - common)}
    assert met([" ".join(text) for text in tests], [" ".join(text) for text in training]).holders() == expected
