"""Training rows: JSON Lines in three forms -> conversations. Every bad row is named by its line.

Forms, told apart by their keys: OpenAI chat (`messages`, with an optional `weight` 0 or 1 on assistant turns), Alpaca
(`instruction`, `input`, `output`, optional `system`), prompt and completion. All become turns of the base model's chat
template. Unreadable, binary or empty files and files with a bad row are refused as a whole: no row is lost in silence.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from trainer.data.rows import Role, Row, Turn
from trainer.outcomes import BadInput

__all__ = ["Row", "Turn", "read_rows"]

ROLES = ("system", "user", "assistant")
_SHOWN = 20  # bad rows listed one by one


def read_rows(path: Path, *, shown_as: str) -> list[Row]:
    """All rows of a file. Raises BadInput, with one detail per bad row."""
    rows: list[Row] = []
    faults: list[str] = []
    for number, line in enumerate(_text(path, shown_as).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append(Row(number, _turns(json.loads(line))))
        except (ValueError, RecursionError) as error:
            faults.append(f"{shown_as}:{number}: {_explained(error)}")
    if faults:
        counts = f"{len(faults)} of {len(rows) + len(faults)} rows are malformed"
        raise BadInput(f"{shown_as}: {counts}; mend them (first: {faults[0]})", faults[:_SHOWN])
    if not rows:
        raise BadInput(f"{shown_as}: holds no row; give JSON Lines with one conversation a line")
    return rows


def _text(path: Path, shown_as: str) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{shown_as}: is not UTF-8 text (byte {error.start}); give JSON Lines, not a binary file"
        ) from error
    except OSError as error:
        raise BadInput(f"{shown_as}: cannot be read ({error.strerror}); mend the path") from error
    if "\0" in text:
        raise BadInput(f"{shown_as}: holds NUL bytes; give JSON Lines, not a binary file")
    return text


def _explained(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"is not JSON: {error.msg} at column {error.colno}"
    return "is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _turns(row: Any) -> tuple[Turn, ...]:
    if not isinstance(row, dict):
        raise ValueError(f"is a {type(row).__name__}, not an object")  # noqa: TRY004 - one kind of fault per row
    if "messages" in row:
        turns = _chat(row["messages"])
    elif "instruction" in row:
        turns = _alpaca(row)
    elif "prompt" in row:
        turns = (Turn("user", _string(row, "prompt")), Turn("assistant", _string(row, "completion"), learned=True))
    else:
        raise ValueError("has none of the keys messages, instruction, prompt; it is in no known form")
    return _ordered(turns)


def _chat(messages: Any) -> tuple[Turn, ...]:
    if not isinstance(messages, list):
        raise ValueError(f"messages: is a {type(messages).__name__}, not a list")  # noqa: TRY004
    turns = []
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise ValueError(f"{where}: has no role of {', '.join(ROLES)}")
        weight = message.get("weight", 1)
        if weight not in (0, 1):
            raise ValueError(f"{where}.weight: {weight!r} is neither 0 nor 1")
        role = cast("Role", message["role"])
        content = _string(message, "content", where=f"{where}.")
        turns.append(Turn(role, content, learned=role == "assistant" and weight == 1))
    return tuple(turns)


def _alpaca(row: Mapping[str, Any]) -> tuple[Turn, ...]:
    given = row.get("input") or ""
    if not isinstance(given, str):
        raise ValueError(f"input: is a {type(given).__name__}, not a string")  # noqa: TRY004
    question = f"{_string(row, 'instruction')}\n{given}".rstrip("\n")
    system = (Turn("system", _string(row, "system")),) if row.get("system") else ()
    return (*system, Turn("user", question), Turn("assistant", _string(row, "output"), learned=True))


def _string(row: Mapping[str, Any], key: str, *, where: str = "") -> str:
    value = row.get(key)
    if not isinstance(value, str):
        found = "is missing" if value is None else f"is a {type(value).__name__}"
        raise ValueError(f"{where}{key}: {found}; it must be a string")  # noqa: TRY004
    if not value.strip():
        raise ValueError(f"{where}{key}: is empty; write the text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{where}{key}: holds half a surrogate pair; write whole characters") from error
    return value


def _ordered(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """System first if at all, then user and assistant in turn, an assistant last: what chat templates accept."""
    talk = turns[1:] if turns and turns[0].role == "system" else turns
    for number, turn in enumerate(talk):
        if turn.role != ("user", "assistant")[number % 2]:
            raise ValueError("turns must be an optional system turn, then user and assistant in turn")
    if not talk or talk[-1].role != "assistant":
        raise ValueError("the last turn must be the assistant's")
    if not any(turn.learned for turn in talk):
        raise ValueError("no assistant turn has weight 1; there is nothing to learn from")
    return turns
