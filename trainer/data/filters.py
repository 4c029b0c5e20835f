"""Which rows are trained on, judged one by one; what rows are to one another comes after it (preparation.py).

Order: both answers of a preference alike, control tokens, repetition, language, personal data, length. Length is the
last because it is counted on what is trained on, after redaction, and comes before copies are looked for, so that no
row is dropped as the copy of one that is too long.

A control token of the tokenizer within a turn (`<|im_end|>`, and `<s>` of some HTML) would end the turn there and let
the text behind it pose as another's. Rows of plain text have no turns: they may be conversations already written out.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from trainer.contract.filters import Filters
from trainer.data.language import Languages
from trainer.data.masks import ChatTokenizer, Document
from trainer.data.personal import redacted
from trainer.data.repetition import repeats_itself
from trainer.data.rows import Row, Turn

CONTROL = "holds a control token"
SAME_ANSWERS = "chosen and rejected answers are the same"
REPEATS = "answer repeats itself"
LANGUAGE = "in another language"
PERSONAL = "holds personal data"
UNLEARNED = "no token to learn from"
TOO_LONG = "longer than a packed row"
COPY = "copy of another row"
NEAR_COPY = "near copy of another row"
CONTAMINATED = "is a test's row, or shares 13 words in a row with one"

REMEDIES = {
    CONTROL: "write turns without the tokens of the chat template; a conversation written out is a row of plain `text`",
    SAME_ANSWERS: "give pairs that differ",
    REPEATS: "set filters.repetition to false if such answers are wanted",
    LANGUAGE: "add the language to filters.languages",
    PERSONAL: "set filters.personalData to redact",
    UNLEARNED: "give answers",
    TOO_LONG: "give shorter ones, or a recipe of more width",
    COPY: "give rows that differ",
    NEAR_COPY: "raise filters.nearDuplicates, or leave it out",
    CONTAMINATED: "look at filters.decontaminate",
}

Accepted = tuple[Row, tuple[Document, ...]]


class RowFilters:
    """Applies them, and counts: rows dropped by reason, hits of personal data by kind."""

    def __init__(self, filters: Filters, tokenizer: ChatTokenizer, *, width: int) -> None:
        """Raises BadInput when the language filter is wanted and cannot be had."""
        self._filters, self._tokenizer, self._width = filters, tokenizer, width
        self._languages = Languages(filters.languages) if filters.languages else None
        self._control = re.compile("|".join(map(re.escape, tokenizer.controls)) or r"(?!)")
        self.dropped: Counter[str] = Counter()
        self.personal: Counter[str] = Counter()

    @property
    def languages(self) -> Counter[str]:
        """Rows seen by language; empty where it was not looked at."""
        return self._languages.mix if self._languages else Counter()

    def accepted(self, rows: Sequence[Row]) -> list[Accepted]:
        """The rows that pass, as they are trained on, with their tokens. Raises BadInput as ChatTokenizer does."""
        clean = [row for row in map(self._passed, rows) if row is not None]
        tokenised = zip(clean, self._tokenizer.documents(clean), strict=True)
        return [(row, documents) for row, documents in tokenised if not self._drops(self._fault(documents))]

    def of_test(self, row: Row) -> Row:
        """A row of a test as it would look among the training rows: redacted where they are."""
        return row if self._filters.personal_data == "keep" else redacted_row(row)[0]

    def _passed(self, row: Row) -> Row | None:
        """The row as it is trained on, or None."""
        changed, hits = redacted_row(row) if self._filters.personal_data != "keep" else (row, Counter[str]())
        reason = SAME_ANSWERS if changed.rejected and changed.rejected == changed.turns else self._text_fault(row)
        if reason is None and hits:
            self.personal += hits
            reason = PERSONAL if self._filters.personal_data == "drop" else None
        return None if self._drops(reason) else changed

    def _text_fault(self, row: Row) -> str | None:
        if self._control.search(_beside_template(row)):
            return CONTROL
        if self._filters.repetition and repeats_itself("\n".join(turn.text for turn in row.turns if turn.learned)):
            return REPEATS
        if self._languages is not None and not self._languages.keeps(row.text):
            return LANGUAGE
        return None

    def _fault(self, documents: Sequence[Document]) -> str | None:
        if not all(document.learned.any() for document in documents):
            return UNLEARNED
        return TOO_LONG if sum(map(len, documents)) > self._width else None

    def _drops(self, reason: str | None) -> bool:
        if reason is not None:
            self.dropped[reason] += 1
        return reason is not None


def _beside_template(row: Row) -> str:
    """All that a row brings into the conversation which the template writes; nothing of a row without a template."""
    said = [text for turns in row.conversations for turn in turns if turn.role != "text" for text in _strings(turn)]
    return "\n".join([*said, json.dumps(row.tools, ensure_ascii=False)] if row.tools else said)


def _strings(turn: Turn) -> tuple[str, ...]:
    return (turn.text, turn.name or "", turn.call_id or "", *(call.id or "" for call in turn.calls))


def redacted_row(row: Row) -> tuple[Row, Counter[str]]:
    """The row without personal data in any of its turns, and the hits by kind."""
    hits: Counter[str] = Counter()

    def changed(turn: Turn) -> Turn:
        content, found = redacted(turn.content)
        hits.update(found)
        calls = tuple(
            replace(call, arguments={key: _mapped(value, text) for key, value in call.arguments.items()})
            for call in turn.calls
        )
        return replace(turn, content=content, calls=calls) if found or calls != turn.calls else turn

    def text(value: str) -> str:
        clean, found = redacted(value)
        hits.update(found)
        return clean

    turns, rejected = tuple(map(changed, row.turns)), tuple(map(changed, row.rejected))
    return (replace(row, turns=turns, rejected=rejected) if hits else row), hits


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with each of its strings changed; keys stay."""
    match value:
        case str():
            return change(value)
        case dict():
            return {key: _mapped(each, change) for key, each in value.items()}
        case list():
            return [_mapped(each, change) for each in value]
        case _:
            return value
