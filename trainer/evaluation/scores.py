"""How near answers are to the held-out ones: exact match, ROUGE-L, BLEU, chrF.

ROUGE-L is the F measure of the longest common subsequence of words (rouge-score; words of any script, not ASCII's
alone); BLEU and chrF are sacrebleu's. Each row keeps its sums, so that a figure of resampled rows is the corpus' own.
"""

import json
import re
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.contract.report import Score
from trainer.evaluation.intervals import Figure, Sums, compared
from trainer.outcomes import BadInput

LONGEST = 4096  # characters of an answer that a pattern is held to, from its end
PATTERN_SECONDS = 20
_NUMBER = re.compile(r"[$€£¥]?\s*([+-]?\d[\d,]*(?:\.\d+)?)\s*%?\.?")


def scores(
    references: Sequence[str], *, before: Sequence[str], after: Sequence[str], answer: str | None
) -> dict[str, Score]:
    """Of both models over the same rows. answer: pattern whose first group is the answer; None: the whole text.

    Raises BadInput when the pattern is wrong or takes too long.
    """
    found = dict(_overlaps(references, before, after))
    exact = _exact(references, before, after, answer=answer)
    return found if exact is None else {"exactMatch": exact, **found}


def normalised(text: str) -> str:
    """What counts as the same answer: NFKC, lower case, single blanks; a number without its commas, sign and zeros."""
    plain = " ".join(unicodedata.normalize("NFKC", text).lower().split())
    if number := _NUMBER.fullmatch(plain):
        digits = number[1].replace(",", "").removeprefix("+")
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    return plain.rstrip(".!")


def _exact(
    references: Sequence[str], before: Sequence[str], after: Sequence[str], *, answer: str | None
) -> Score | None:
    """Over the rows whose reference has an answer; None when no row's has."""
    given = _groups(answer, [*references, *before, *after])
    number = len(references)
    rows = [row for row in range(number) if given[row] is not None]
    if not rows:
        return None

    def hits(first: int) -> Sums:
        return np.array([[float(given[first + row] == given[row]), 1.0] for row in rows])

    return compared(hits(number), hits(2 * number))


def _groups(pattern: str | None, texts: Sequence[str]) -> list[str | None]:
    """The normalised answer of each text; None where the pattern finds none, or an empty one."""
    if pattern is None:
        return [normalised(text) for text in texts]
    found = matched(pattern, [text[-LONGEST:] for text in texts])
    return [normalised(text) if text is not None else None for text in found]


def matched(pattern: str, texts: Sequence[str]) -> list[str | None]:
    """First group of the first match in each text.

    In a process of its own that is ended in time: a pattern that tries without end would hold this one for ever,
    signals included. Raises BadInput.
    """
    code = (
        "import json, re, sys; pattern, texts = json.load(sys.stdin); found = map(re.compile(pattern).search, texts);"
        "json.dump([match and match[1] for match in found], sys.stdout)"
    )
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, and a pattern that it reads as data
            [sys.executable, "-I", "-S", "-c", code],
            input=json.dumps([pattern, list(texts)]),
            capture_output=True,
            text=True,
            check=True,
            timeout=PATTERN_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        text = f"tries for more than {PATTERN_SECONDS} s; write it without a repeat inside a repeat"
        raise BadInput(f"checks.answer: {pattern!r} {text}") from error
    found: list[str | None] = json.loads(done.stdout)
    return found


class _Words:
    """rouge-score's own tokenizer drops every letter that is not ASCII."""

    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"\w+", text.lower())


def _overlaps(references: Sequence[str], before: Sequence[str], after: Sequence[str]) -> list[tuple[str, Score]]:
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    rouge = RougeScorer(["rougeL"], tokenizer=_Words())

    def rouge_rows(answers: Sequence[str]) -> Sums:
        pairs = zip(references, answers, strict=True)
        return np.array([[rouge.score(reference, answer)["rougeL"].fmeasure, 1.0] for reference, answer in pairs])

    found = [("rougeL", compared(rouge_rows(before), rouge_rows(after)))]
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
        first, second = (_corpus_rows(metric, answers, references) for answers in (before, after))
        found.append((name, compared(first, second, _corpus_figure(metric))))
    return found


def _corpus_rows(metric: Any, answers: Sequence[str], references: Sequence[str]) -> Sums:
    """The sums of each row, of which sacrebleu makes its figure of a corpus; it has no public name for them."""
    return np.array(metric._extract_corpus_statistics(list(answers), [list(references)]), float)  # noqa: SLF001


def _corpus_figure(metric: Any) -> Figure:
    """The figure that sacrebleu makes of summed statistics, 0 to 100."""

    def figure(totals: Sums) -> float:
        return float(metric._compute_score_from_stats([int(total) for total in totals]).score)  # noqa: SLF001

    return figure
