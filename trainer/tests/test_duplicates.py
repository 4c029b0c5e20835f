"""Near-duplicates: the clusters of rows, the copies among them, the split that cuts no cluster."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.duplicates import NEAR, RUN, Alike, alike, held_out, signed
from trainer.data.minhash import PERMUTATIONS, WINDOW, candidates
from trainer.data.ngrams import normalised
from trainer.outcomes import BadInput

WORDS = [f"w{number}" for number in range(60)]
LONG = " ".join(WORDS)
CHANGED = LONG.replace("w3 ", "other ")
DIFFERENT = " ".join(reversed(WORDS))


@dataclass(frozen=True)
class Written:
    """Texts in memory; the answer is the whole text unless it is given."""

    texts: Sequence[str]
    answers: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.texts)

    def text(self, number: int) -> str:
        return self.texts[number]

    def answer(self, number: int) -> str:
        return self.answers[number] if self.answers else self.texts[number]


def found(texts: Sequence[str], answers: Sequence[str] = (), *, threshold: float = NEAR) -> Alike:
    return alike(Written(texts, answers), signed(texts), threshold=threshold)


def brute(texts: Sequence[str], threshold: float) -> list[int]:
    """The same clusters by the definition: sets of runs, each with each."""
    words = [text.split() for text in texts]
    runs = [{tuple(each[at : at + RUN]) for at in range(max(1, len(each) - RUN + 1))} for each in words]
    first = list(range(len(texts)))
    for one in range(len(texts)):
        for other in range(one):
            if len(runs[one] & runs[other]) >= threshold * len(runs[one] | runs[other]):
                low, high = sorted((first[one], first[other]))
                first = [low if name == high else name for name in first]
    return first


def test_a_text_with_one_word_changed_is_in_the_cluster_of_the_other() -> None:
    assert found([LONG, DIFFERENT, CHANGED]).clusters.tolist() == [0, 1, 0]


def test_two_questions_about_one_long_text_stay_together_but_are_no_copies() -> None:
    both = found([f"{LONG} who yes", f"{LONG} where no"], ["yes", "no"])

    assert (both.clusters.tolist(), both.copies.tolist()) == ([0, 0], [0, 1])


def test_texts_without_words_are_the_same_only_when_they_are_equal() -> None:
    assert found([normalised(text) for text in ("?!", "...", "?!")]).clusters.tolist() == [0, 1, 0]


def test_scripts_without_blanks_are_compared_by_character() -> None:
    text = "今天天气很好我们去公园散步看到了很多花还有小孩在湖边放风筝大家都很高兴一直玩到太阳下山才回家"

    assert found([normalised(text), normalised(text[:-1] + "去")]).clusters.tolist() == [0, 0]


@st.composite
def _mutated(draw: st.DrawFn) -> list[str]:
    """A few texts and variants of them with some words changed."""
    originals = draw(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=50), min_size=1, max_size=5))
    texts = []
    for number in draw(st.lists(st.integers(0, len(originals) - 1), min_size=1, max_size=20)):
        text = list(originals[number])
        for place in draw(st.lists(st.integers(0, len(text) - 1), max_size=2)):
            text[place] = draw(st.sampled_from(WORDS))
        texts.append(" ".join(text))
    return texts


@given(_mutated(), st.sampled_from([0.5, 0.8, 0.9]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_clusters_are_those_of_comparing_each_with_each(texts: list[str], threshold: float) -> None:
    assert found(texts, threshold=threshold).clusters.tolist() == brute(texts, threshold)


@given(_mutated())
@settings(max_examples=20, deadline=None)
def test_what_is_left_without_copies_has_none(texts: list[str]) -> None:
    left = [text for number, text in enumerate(texts) if found(texts).copies[number] == number]

    assert found(left).copies.tolist() == list(range(len(left)))


def test_rows_of_one_template_cost_a_bounded_number_of_comparisons() -> None:
    template = " ".join(WORDS[:30])
    signatures = signed([f"{template} {' '.join(f'x{row}y{at}' for at in range(8))}" for row in range(1000)])

    compared = sum(len(pairs) for pairs in candidates(signatures.rows(), NEAR))

    assert 1000 < compared <= 16 * WINDOW * 1000
    assert signatures.rows().shape == (1000, PERMUTATIONS)


@given(st.lists(st.integers(0, 12), min_size=2, max_size=60), st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_a_split_cuts_no_cluster_and_leaves_rows_on_both_sides(names: list[int], seed: int) -> None:
    clusters = np.array([names.index(name) for name in names], dtype=np.int64)
    if len(set(names)) == 1:
        with pytest.raises(BadInput, match=r"1 row is left|rows are near-duplicates of one another"):
            held_out(clusters, clusters, share=0.1, seed=seed)
        return

    is_held = held_out(clusters, clusters * 7919, share=0.1, seed=seed)

    assert set(clusters[is_held]).isdisjoint(clusters[~is_held])
    assert 0 < is_held.sum() < len(names)


def test_a_split_hangs_on_what_rows_say_and_not_on_where_they_stand() -> None:
    contents = np.arange(100, 200, dtype=np.int64)
    rows = np.arange(100, dtype=np.int64)

    straight = set(contents[held_out(rows, contents, share=0.1, seed=3)])
    backwards = set(contents[::-1][held_out(rows, contents[::-1], share=0.1, seed=3)])

    assert straight == backwards
    assert len(straight) == 10
