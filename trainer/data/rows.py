"""A training row as every later part sees it, whatever form its file had."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool", "text"]
Counted = Literal["line", "row"]


@dataclass(frozen=True)
class Call:
    """A call of a tool that the assistant makes. arguments: a JSON object."""

    name: str
    arguments: Mapping[str, Any]
    id: str | None = None


@dataclass(frozen=True)
class Turn:
    """One message. learned: whether the loss counts it (never a user's, a system's or a tool's).

    Role `tool` holds a tool's result. Role `text` stands alone in its row: plain text, which no template is put around.
    """

    role: Role
    content: str
    learned: bool = False
    calls: tuple[Call, ...] = ()
    name: str | None = None
    call_id: str | None = None

    @property
    def text(self) -> str:
        """All that it says: the content, and the calls as JSON."""
        calls = [json.dumps([call.name, call.arguments], sort_keys=True, ensure_ascii=False) for call in self.calls]
        return "\n".join(([self.content] if self.content else []) + calls)


def place(counted: Counted, number: int, shown_as: str) -> str:
    """Where a row is, as editors and people say it."""
    return f"{shown_as}:{number}" if counted == "line" else f"{shown_as} row {number}"


@dataclass(frozen=True)
class Row:
    """One conversation and where it stands in its file, from 1; of a JSON list or a Parquet file rows are counted.

    rejected: of a preference row the whole conversation with the answer that is not preferred; `turns` is the other
    one. tools: descriptions of the tools that may be called, as JSON schemas in OpenAI's form.
    """

    line: int
    turns: tuple[Turn, ...]
    rejected: tuple[Turn, ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    counted: Counted = "line"

    @property
    def text(self) -> str:
        """What makes the row itself: all turns but the system's, which whole data sets share."""
        return "\n".join(turn.text for turn in self.turns if turn.role != "system")

    @property
    def conversations(self) -> tuple[tuple[Turn, ...], ...]:
        """The conversation; of a preference row both of them, the chosen one first."""
        return (self.turns, self.rejected) if self.rejected else (self.turns,)
