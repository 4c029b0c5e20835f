"""A row of any known form -> conversation.

The forms are told apart by their keys, in this order:

- preferences, for dpo: `prompt`, `chosen`, `rejected` (texts or messages), or OpenAI's `input`, `preferred_output`,
  `non_preferred_output`
- OpenAI chat: `messages` with an optional `weight` of 0 or 1, `tools`, and `tool_calls` of the assistant
- ShareGPT: `conversations` of `from` and `value`, with `system` and `tools`
- Alpaca: `instruction`, `input`, `output`, with `system` and `history`; the answers of `history` are read, not learned:
  the row's author vouches for `output` alone
- `prompt` and `completion`, or `question` and `answer` (texts or messages); of messages only the completion is learned
- `text`: learned as a whole, with no template around it
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trainer.contract.recipe import Objective
from trainer.data import messages
from trainer.data.fields import Fault, kind, listed, optional, string
from trainer.data.messages import chat, ordered, share
from trainer.data.rows import Row, Turn

_ANSWERS = (("prompt", "completion"), ("question", "answer"))


def row_of(document: Any, line: int, objective: Objective = "supervised") -> Row:
    """Raises Fault: field, value, remedy."""
    if not isinstance(document, dict):
        raise Fault(f"is {kind(document)}, not an object; write one row as {{...}}")
    is_preference = _has(document, "chosen") or _has(document, "preferred_output")
    if is_preference and objective == "supervised":
        raise Fault("has a chosen and a rejected answer; set objective dpo, or give rows with one answer")
    if objective == "dpo" and not is_preference:
        raise Fault("has no chosen and rejected answer, which objective dpo learns from; add them, or tune supervised")
    try:
        return _preference(document, line) if is_preference else _supervised(document, line)
    except RecursionError as error:
        raise Fault("is nested too deeply; make it flat") from error


def _supervised(row: Mapping[str, Any], line: int) -> Row:
    if _has(row, "messages"):
        turns = chat(listed(row, "messages"), "messages")
    elif _has(row, "conversations"):
        turns = _with_system(row, share(listed(row, "conversations"), "conversations"))
    elif _has(row, "instruction"):
        turns = _alpaca(row)
    elif found := [keys for keys in _ANSWERS if _has(row, keys[0])]:
        question, answer = found[0]
        turns = (*_asked(row, question), *_answered(row, answer))
    elif _has(row, "text"):
        return Row(line, (Turn("text", string(row, "text"), learned=True),))
    else:
        wrapping = [
            key for key, value in row.items() if isinstance(value, list) and value and isinstance(value[0], dict)
        ]
        if wrapping:
            raise Fault(f"{wrapping[0]}: holds a list of objects; if they are the rows, give that list alone")
        known = "messages, conversations, instruction, prompt, question, text"
        raise Fault(f"has none of the keys {known}; it is in no known form; rename its keys")
    return Row(line, ordered(turns), tools=messages.tools(row))


def _preference(row: Mapping[str, Any], line: int) -> Row:
    given = row.get("input") if _has(row, "preferred_output") else row
    if not isinstance(given, dict):
        raise Fault(f"input: is {kind(given)}; it must be an object with messages")
    if given is row:
        chosen, rejected = _answered(row, "chosen"), _answered(row, "rejected")
        asked = (
            () if chosen[0].role in {"system", "user"} else _asked(row, "prompt")
        )  # answers may bring their question
    else:
        chosen, rejected = _answered(row, "preferred_output"), _answered(row, "non_preferred_output")
        asked = _unlearned(chat(listed(given, "messages", where="input."), "input.messages"))
    one, other = (*asked, *chosen), (*asked, *rejected)
    shared = next((number for number, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    if shared is None:
        raise Fault("chosen and rejected are the same; there is nothing to prefer; leave the row out")
    tools = messages.tools(given)
    first, second = (ordered((*_unlearned(turns[:shared]), *turns[shared:])) for turns in (one, other))
    return Row(line, first, rejected=second, tools=tools)


def _alpaca(row: Mapping[str, Any]) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    for number, pair in enumerate(listed(row, "history") if _has(row, "history") else []):
        if not isinstance(pair, list) or len(pair) != 2:  # noqa: PLR2004 - question and answer
            raise Fault(f"history[{number}]: is no pair of question and answer; write [question, answer]")
        said = {"question": pair[0], "answer": pair[1]}
        turns += [Turn("user", string(said, "question", where=f"history[{number}]."))]
        turns += [Turn("assistant", string(said, "answer", where=f"history[{number}]."))]
    given = optional(row, "input")
    question = f"{string(row, 'instruction')}\n{given}".rstrip("\n")
    turns += [Turn("user", question), Turn("assistant", string(row, "output"), learned=True)]
    return _with_system(row, tuple(turns))


def _asked(row: Mapping[str, Any], key: str) -> tuple[Turn, ...]:
    """A question as text or messages; no answer in it is learned."""
    if isinstance(row.get(key), list):
        return chat(row[key], key, learned=False)
    return _with_system(row, (Turn("user", string(row, key)),))


def _answered(row: Mapping[str, Any], key: str) -> tuple[Turn, ...]:
    """An answer as text or messages."""
    if row.get(key) == []:
        raise Fault(f"{key}: holds no message; write the answer")
    if isinstance(row.get(key), list):
        return chat(row[key], key)
    return (Turn("assistant", string(row, key), learned=True),)


def _with_system(row: Mapping[str, Any], turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    system = optional(row, "system")
    return (Turn("system", system), *turns) if system else turns


def _unlearned(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    return tuple(replace(turn, learned=False) for turn in turns)


def _has(row: Mapping[str, Any], key: str) -> bool:
    """Null is absent: Parquet gives every row every column."""
    return row.get(key) is not None
