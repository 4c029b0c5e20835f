"""Conversations -> tokens, and which of them the loss counts: the assistant's, with the token that ends a turn.

Masks come from rendering turn by turn, so any chat template works that only ever appends; they depend neither on
markers in the template nor on `pad` (which is often the end-of-turn token itself).
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
import jinja2.sandbox
import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from trainer.data.formats import Row, Turn
from trainer.outcomes import BadInput

FILES = ("tokenizer.json", "tokenizer_config.json")  # what a ChatTokenizer needs of a base model folder


@dataclass(frozen=True)
class Document:
    """One conversation as tokens. learned[i]: whether the loss counts token i."""

    line: int
    ids: npt.NDArray[np.int32]
    learned: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


class ChatTokenizer:
    """Tokenizer and chat template of a base model folder. Needs no torch."""

    def __init__(self, folder: Path) -> None:
        """Raises BadInput when the folder holds no chat template or no end-of-turn token."""
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        self._template = self._config.get("chat_template")
        if not isinstance(self._template, str):
            raise BadInput(f"{folder}: tokenizer_config.json has no chat_template; use an instruction-tuned base model")
        end = self._tokenizer.token_to_id(str(self._config.get("eos_token")))
        if end is None:
            raise BadInput(f"{folder}: its tokenizer does not know its own eos_token; mend tokenizer_config.json")
        self._end: int = end
        self._digest = hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()

    @property
    def facts(self) -> dict[str, str]:
        """What of it decides the tokens, for the data set's fingerprint."""
        return {"template": hashlib.sha256(self._template.encode()).hexdigest(), "tokenizer": self._digest}

    def document(self, row: Row) -> Document:
        """A row as tokens. Raises BadInput when the template cannot be masked turn by turn."""
        ids = self._ids(row.turns, prompting=False)
        learned = np.zeros(len(ids), dtype=np.bool_)
        for number, turn in enumerate(row.turns):
            if turn.learned:
                start = self._end_of_prefix(ids, row, number, prompting=True)
                stop = self._end_of_prefix(ids, row, number + 1, prompting=False)
                learned[start : self._end_of_turn(ids, start, stop)] = True
        return Document(row.line, np.asarray(ids, dtype=np.int32), learned)

    def _end_of_prefix(self, ids: list[int], row: Row, turns: int, *, prompting: bool) -> int:
        prefix = self._ids(row.turns[:turns], prompting=prompting)
        if ids[: len(prefix)] != prefix:
            raise BadInput(
                f"line {row.line}: with this chat template the tokens of turn {turns} change with what follows, so the"
                " answer has no certain place; write the answer without leading white space or use another base model"
            )
        return len(prefix)

    def _end_of_turn(self, ids: list[int], start: int, stop: int) -> int:
        """Past the end-of-turn token; what the template writes after it is never generated, so never learned."""
        for place in range(stop - 1, start - 1, -1):
            if ids[place] == self._end:
                return place + 1
        raise BadInput(
            f"chat template: ends an assistant turn without {self._config['eos_token']!r}; a model tuned on it would"
            " never stop; set eos_token in tokenizer_config.json to the token that ends a turn"
        )

    def _ids(self, turns: tuple[Turn, ...], *, prompting: bool) -> list[int]:
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        try:
            text = self._compiled.render(
                messages=messages,
                add_generation_prompt=prompting,
                bos_token=self._config.get("bos_token") or "",
                eos_token=self._config["eos_token"],
            )
        except jinja2.TemplateError as error:
            raise BadInput(f"chat template: refuses a conversation ({error}); use another base model") from error
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    @cached_property
    def _compiled(self) -> Any:
        """A template is code of the base model's author: it runs in a sandbox."""
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)

        def refuse(text: str) -> None:
            raise jinja2.TemplateError(text)

        environment.globals["raise_exception"] = refuse
        return environment.from_string(self._template)
