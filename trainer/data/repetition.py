"""Answers that say the same again and again, which teach a model to.

Rules and cut-offs: Rae et al. 2021 (Gopher), table A1, applied to the words of an answer. They were made for web pages:
worked answers of a few sentences repeat their subject in every one (of GSM8K's, 16 % would go), so in an answer shorter
than a page the shares may be four times as high, which an answer that got into a loop exceeds all the same.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from trainer.data.ngrams import words

SHORTEST = 30  # words of an answer that is looked at
PAGE = 200  # words from which the cut-offs hold as they stand
SHORT_FACTOR = 4
LINES = 0.30  # most of the lines that may be copies of earlier ones
LINE_CHARACTERS = 0.20  # and of their characters
TOP = {2: 0.20, 3: 0.18, 4: 0.16}  # most of the characters that the most frequent run of so many words may have
REPEATED = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}  # ... that all runs which stood before may have


def repeats_itself(answer: str) -> bool:
    """Whether one of the shares is above its cut-off."""
    found = words(answer)
    factor = 1 if len(found) >= PAGE else SHORT_FACTOR
    return len(found) >= SHORTEST and (
        _repeats_lines(answer, factor) or _repeats_a_run(found, factor) or _repeats_runs(found, factor)
    )


def _repeats_lines(answer: str, factor: int) -> bool:
    """Of lines that hold a word: a closing brace may stand as often as code needs it."""
    lines = [line.strip() for line in answer.splitlines() if any(letter.isalnum() for letter in line)]
    copies = Counter(lines)
    copies.subtract(set(lines))
    characters = sum(number * len(line) for line, number in copies.items())
    return copies.total() > factor * LINES * len(lines) or characters > factor * LINE_CHARACTERS * sum(map(len, lines))


def _repeats_a_run(found: Sequence[str], factor: int) -> bool:
    characters = sum(map(len, found))
    for length, share in TOP.items():
        (run, number), *_ = Counter(_runs(found, length)).most_common(1)
        if number > 1 and number * sum(map(len, run)) > factor * share * characters:
            return True
    return False


def _repeats_runs(found: Sequence[str], factor: int) -> bool:
    characters = sum(map(len, found))
    for length, share in REPEATED.items():
        if len(set(_runs(found, length))) == len(found) - length + 1:
            return False  # no run stands twice, so no longer one does either
        if _repeated_characters(found, length) > factor * share * characters:
            return True
    return False


def _runs(found: Sequence[str], length: int) -> Iterable[tuple[str, ...]]:
    return zip(*(found[place:] for place in range(length)), strict=False)


def _repeated_characters(found: Sequence[str], length: int) -> int:
    """Characters of the runs that stood before, none counted twice."""
    seen: set[tuple[str, ...]] = set()
    characters = next_place = 0
    for place, run in enumerate(_runs(found, length)):
        if run not in seen:
            seen.add(run)
        elif place >= next_place:
            characters += sum(map(len, run))
            next_place = place + length
    return characters
