"""Which rows are trained on, and how many are not for each reason."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.data.duplicates import without_copies
from trainer.data.formats import Row
from trainer.data.masks import ChatTokenizer, Document

COPY = "copy of another row"
TOO_LONG = "longer than a packed row"


@dataclass(frozen=True)
class Kept:
    """Tokens of the rows that passed, and the number dropped by reason."""

    documents: tuple[Document, ...]
    dropped: Counter[str]


def usable(rows: Sequence[Row], tokenizer: ChatTokenizer, *, width: int) -> Kept:
    """Drop copies and rows of more than `width` tokens; a row is never cut: a cut answer teaches never to stop."""
    unique = without_copies(rows)
    documents = [tokenizer.document(row) for row in unique]
    fitting = tuple(document for document in documents if len(document) <= width)
    dropped = Counter({COPY: len(rows) - len(unique), TOO_LONG: len(unique) - len(fitting)})
    return Kept(fitting, +dropped)
