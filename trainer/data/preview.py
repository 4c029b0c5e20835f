"""What a training would see of its rows: tokens, and which of them the loss counts."""

from collections.abc import Sequence
from itertools import groupby

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from trainer.data.masks import ChatTokenizer, Document

OPEN, CLOSE = "\u27e6", "\u27e7"  # around what is learned, where there are no colours


class Token(BaseModel):
    """text: empty where a character goes on in the next token."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    id: int
    text: str
    learned: bool


class Preview(BaseModel):
    """One document. line: of its row in the file. rejected: it ends with the answer that is not preferred."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    line: int
    rejected: bool = False
    tokens: tuple[Token, ...]

    @property
    def runs(self) -> list[tuple[str, bool]]:
        """Its text, cut where learned and unlearned tokens meet."""
        grouped = groupby(self.tokens, key=lambda token: token.learned)
        return [("".join(token.text for token in run), learned) for learned, run in grouped]

    @property
    def marked(self) -> str:
        """Its text with marks around what is learned."""
        return "".join(f"{OPEN}{text}{CLOSE}" if learned else text for text, learned in self.runs)


def preview(documents: Sequence[Document], tokenizer: ChatTokenizer, number: int) -> list[Preview]:
    """The documents of the first rows; a preference row has two, which follow one another.

    A document's first token is never learned: nothing stands before it.
    """
    previews: list[Preview] = []
    for document in documents:
        is_rejected = bool(previews) and previews[-1].line == document.line
        if len(previews) - sum(before.rejected for before in previews) == number and not is_rejected:
            break
        ids, learned = document.ids.tolist(), [False, *document.learned[1:].tolist()]
        tokens = (
            Token(id=id_, text=text, learned=is_learned)
            for id_, text, is_learned in zip(ids, tokenizer.pieces(ids), learned, strict=True)
        )
        previews.append(Preview(line=document.line, rejected=is_rejected, tokens=tuple(tokens)))
    return previews
