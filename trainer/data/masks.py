"""Conversations -> tokens, and which of them the loss counts: the assistant's, with the token that ends a turn.

Masks come from rendering turn by turn, so any chat template works that only ever appends; they depend neither on
markers in the template nor on `pad` (which is often the end-of-turn token itself).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from trainer.data import template
from trainer.data.rows import Row, Turn
from trainer.data.template import ChatTemplate, special_token
from trainer.model.shape import refuse_wide_rows
from trainer.outcomes import BadInput

# What a ChatTokenizer needs of a base model folder; the last three where the folder has them.
FILES = ("tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json", template.FILE)
_UNBOUNDED = 10**9  # folders without a limit state a number of thirty digits
_SHOWN = 30  # characters of a rendered text that are shown where two differ


@dataclass(frozen=True)
class Document:
    """One conversation as tokens. learned[i]: whether the loss counts token i."""

    line: int
    ids: npt.NDArray[np.int32]
    learned: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


class ChatTokenizer:
    """Tokenizer and chat template of a base model folder. Needs no torch.

    end: id of eos_token. ends: every id that the model stops at. context: most tokens the model takes, None when the
    folder does not say.
    """

    def __init__(self, folder: Path) -> None:
        """Raises BadInput when a file is missing or broken, or the tokenizer has no end-of-turn token of its own."""
        self._tokenizer = _tokenizer(folder / "tokenizer.json")
        config = _json(folder / "tokenizer_config.json")
        self._template = ChatTemplate.of(folder, config)
        self._eos = special_token(config, "eos_token") or ""
        end = self._tokenizer.token_to_id(self._eos)
        if end is None:
            raise BadInput(f"{folder}: its tokenizer does not know its own eos_token; mend tokenizer_config.json")
        self.end: int = end
        self._begin = self._tokenizer.token_to_id(special_token(config, "bos_token") or "")
        self.ends = frozenset({end, *_stops(_json(folder / "generation_config.json"))})
        self.context = _context(config, _json(folder / "config.json"))
        self._digest = hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()

    @property
    def controls(self) -> tuple[str, ...]:
        """Tokens that are no text: wherever one is written in a row, the model is told of a turn's end, say."""
        added = self._tokenizer.get_added_tokens_decoder().values()
        return tuple(sorted(token.content for token in added if token.special))

    @property
    def facts(self) -> dict[str, str]:
        """What of it decides the tokens, for the data set's fingerprint."""
        ends = " ".join(str(end) for end in sorted(self.ends))
        return {"template": self._template.digest, "tokenizer": self._digest, "ends": ends}

    def refuse_width(self, width: int) -> None:
        """Raise BadInput when a row may hold a longer conversation than the model takes."""
        refuse_wide_rows(width, self.context)

    def prompt(self, turns: Sequence[Turn], tools: Sequence[Mapping[str, Any]] = ()) -> list[int]:
        """Tokens of a conversation up to where the assistant's next answer begins."""
        text = self._template.render(turns, tools=tools, prompting=True)
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of tokens, special ones left out."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Text of each token; a character of several tokens stands at its last one."""
        from tokenizers.decoders import DecodeStream

        stream = DecodeStream(skip_special_tokens=False)
        return [stream.step(self._tokenizer, int(id_)) or "" for id_ in ids]

    def document(self, row: Row) -> Document:
        """A row as tokens; of a preference row the chosen conversation. Raises what `documents` does."""
        return self.documents([row])[0][0]

    def documents(self, rows: Sequence[Row]) -> list[tuple[Document, ...]]:
        """For each row its document; for a preference row two, the chosen one first. One call to the tokenizer.

        Raises BadInput when the template refuses a row, or cannot be masked turn by turn.
        """
        rendered = [[self._rendered(row, turns) for turns in row.conversations] for row in rows]
        texts = {text: () for of_row in rendered for one in of_row for text in one.texts if not one.is_plain}
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        ids = {text: found.ids for text, found in zip(texts, encoded, strict=True)}
        return [tuple(self._masked(one, ids) for one in of_row) for of_row in rendered]

    def _rendered(self, row: Row, turns: tuple[Turn, ...]) -> "_Rendered":
        if turns[0].role == "text":
            return _Rendered(row, turns[0].content, is_plain=True)
        try:
            whole = self._whole(turns, row)
            spans = []
            for number, turn in enumerate(turns):
                if turn.learned:
                    before = self._template.render(turns[:number], tools=row.tools, prompting=True)
                    after = self._whole(turns[: number + 1], row) if number + 1 < len(turns) else whole
                    spans.append((before, after))
        except BadInput as error:
            raise BadInput(f"{row.counted} {row.line}: {error}") from error
        if unsaid := _unsaid(row, turns, spans, whole=whole):
            raise BadInput(
                f"{row.counted} {row.line}: this chat template writes no {unsaid}, so the model would learn an answer"
                " without it; leave the tools and their calls out, or use a base model that knows tools"
            )
        rendered = _Rendered(row, whole, tuple(spans))
        for text in rendered.texts:
            if not whole.startswith(text):
                raise BadInput(f"{row.counted} {row.line}: {_where_they_part(text, whole)}")
        return rendered

    def _whole(self, turns: tuple[Turn, ...], row: Row) -> str:
        """A conversation without the eos_token that some templates (Phi) write behind the end of its last turn."""
        text = self._template.render(turns, tools=row.tools, prompting=False)
        shorter = text.removesuffix(self._eos)
        others = [self._tokenizer.id_to_token(end) for end in self.ends - {self.end}]
        return shorter if shorter.rstrip().endswith(tuple(other for other in others if other)) else text

    def _masked(self, rendered: "_Rendered", found: Mapping[str, list[int]]) -> Document:
        if rendered.is_plain:
            return self._plain(rendered)
        ids, row = found[rendered.whole], rendered.row
        learned = np.zeros(len(ids), dtype=np.bool_)
        for before, after in rendered.spans:
            for prefix in (found[before], found[after]):
                if ids[: len(prefix)] != prefix:
                    raise BadInput(
                        f"{row.counted} {row.line}: with this chat template the first token of an answer is one with"
                        " what stands before it, so the answer has no certain place; write the answer without leading"
                        " white space, or use another base model"
                    )
            start, stop = len(found[before]), len(found[after])
            learned[start : self._end_of_turn(ids, start, stop)] = True
        return Document(rendered.row.line, np.asarray(ids, dtype=np.int32), learned)

    def _plain(self, rendered: "_Rendered") -> Document:
        """Plain text: with the token the tokenizer begins with, if any, and the one that ends it; all learned."""
        ids = self._tokenizer.encode(rendered.whole, add_special_tokens=True).ids
        if len(ids) > 1 and ids[0] == ids[1] == self._begin:
            ids = ids[1:]  # the text begins with that token itself
        ids = ids if ids[-1:] == [self.end] else [*ids, self.end]
        return Document(rendered.row.line, np.asarray(ids, dtype=np.int32), np.ones(len(ids), dtype=np.bool_))

    def _end_of_turn(self, ids: list[int], start: int, stop: int) -> int:
        """Past the end-of-turn token; what the template writes after it is never generated, so never learned."""
        for place in range(stop - 1, start - 1, -1):
            if ids[place] in self.ends:
                return place + 1
        names = " or ".join(repr(self._tokenizer.id_to_token(end)) for end in sorted(self.ends))
        raise BadInput(
            f"chat template: ends an assistant turn without {names}; a model tuned on it would never stop; set"
            " eos_token in tokenizer_config.json, or eos_token_id in generation_config.json, to the token that ends a"
            " turn"
        )


@dataclass(frozen=True)
class _Rendered:
    """A conversation as text. spans: for each learned turn what stands before its answer, and up to its end."""

    row: Row
    whole: str
    spans: tuple[tuple[str, str], ...] = ()
    is_plain: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.whole, *(text for span in self.spans for text in span))


def _unsaid(row: Row, turns: Sequence[Turn], spans: Sequence[tuple[str, str]], *, whole: str) -> str | None:
    """What of a row with tools the rendered text does not hold: a learned call, or every description of a tool."""
    learned = [turn for turn in turns if turn.learned]
    for turn, (before, after) in zip(learned, spans, strict=True):
        for call in turn.calls:
            if not _holds(after[len(before) :], call.name):
                return f"calls of tools ({call.name!r})"
    names = [str(tool.get("function", {}).get("name")) for tool in row.tools]
    return None if not names or any(_holds(whole, name) for name in names) else f"descriptions of tools ({names[0]!r})"


def _holds(text: str, name: str) -> bool:
    """As it is, or as JSON writes it."""
    return name in text or json.dumps(name)[1:-1] in text


def _where_they_part(prefix: str, whole: str) -> str:
    place = next(place for place, (one, other) in enumerate(zip(prefix + "\0", whole + "\1")) if one != other)  # noqa: B905 - of two lengths
    return (
        "this chat template writes a turn differently once others follow"
        f" ({prefix[place : place + _SHOWN]!r} becomes {whole[place : place + _SHOWN]!r}), so the model would learn"
        " other tokens than it is to write; give rows with one answer each, or use another base model"
    )


def _tokenizer(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise BadInput(f"{path}: is no tokenizer that can be read ({error}); use another base model") from error


def _json(path: Path) -> dict[str, Any]:
    """A JSON object of the folder; of a file that is not there an empty one. Raises BadInput."""
    if not path.is_file():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: is not JSON ({error}); use another base model") from error
    return document if isinstance(document, dict) else {}


def _stops(generation: Mapping[str, Any]) -> list[int]:
    """Where the model's own settings end an answer; often another token than eos_token (Gemma, Phi)."""
    given = generation.get("eos_token_id")
    return [end for end in (given if isinstance(given, list) else [given]) if isinstance(end, int)]


def _context(config: Mapping[str, Any], model: Mapping[str, Any]) -> int | None:
    stated = (config.get("model_max_length"), model.get("max_position_embeddings"))
    return min((int(most) for most in stated if isinstance(most, int | float) and most < _UNBOUNDED), default=None)
