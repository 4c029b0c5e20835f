"""Lists of messages -> turns: OpenAI's chat form and ShareGPT's, with tool calls and tool results."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.data.fields import Fault, clean, decoded, kind, listed, optional, string
from trainer.data.rows import Call, Role, Turn

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_SPEAKERS: dict[str, Role] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "tool": "tool",
    "function_response": "tool",
}
# What may come after a turn, so that every chat template accepts it; None is the beginning.
_NEXT: dict[str | None, tuple[str, ...]] = {
    None: ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user",),
    "call": ("tool",),
    "tool": ("tool", "assistant"),
}


def chat(messages: Sequence[Any], where: str, *, learned: bool = True) -> tuple[Turn, ...]:
    """OpenAI's form. learned: whether answers are, where their weight does not say otherwise. Raises Fault."""
    return tuple(_message(message, f"{where}[{number}]", learned=learned) for number, message in enumerate(messages))


def share(conversations: Sequence[Any], where: str) -> tuple[Turn, ...]:
    """ShareGPT's form: `from` and `value`. Raises Fault."""
    return tuple(_said(said, f"{where}[{number}]") for number, said in enumerate(conversations))


def tools(row: Mapping[str, Any], where: str = "") -> tuple[Mapping[str, Any], ...]:
    """Descriptions of the tools, each in OpenAI's `{type: function, function: {...}}`. Raises Fault."""
    if row.get("tools") in (None, "", []):
        return ()
    made = []
    for number, given in enumerate(listed(row, "tools", where=where)):
        tool = clean(given, f"{where}tools[{number}]")
        function = tool.get("function", tool) if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise Fault(f"{where}tools[{number}]: names no function; give name, description and parameters")
        made.append(tool if "function" in tool else {"type": "function", "function": function})
    return tuple(made)


def ordered(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """The turns, in an order that chat templates accept and with something to learn. Raises Fault."""
    before: str | None = None
    for number, turn in enumerate(turns, start=1):
        if turn.role not in _NEXT[before]:
            raise Fault(
                f"turn {number}: {turn.role} cannot follow {before or 'nothing'}; turns must be an optional system"
                " turn, then user and assistant in turn, a call of a tool before the tool's result"
            )
        before = "call" if turn.calls else turn.role
    if before not in {"assistant", "call"}:
        raise Fault("the last turn must be the assistant's; add its answer, or leave the turns after it out")
    if not any(turn.learned for turn in turns):
        raise Fault("no assistant turn has weight 1; there is nothing to learn from; give one weight 1")
    return turns


def _message(message: Any, where: str, *, learned: bool) -> Turn:
    role = _ROLES.get(str(message.get("role"))) if isinstance(message, dict) else None
    if role is None:
        raise Fault(f"{where}: has no role of {', '.join(_ROLES)}; name one")
    weight = 1 if message.get("weight") is None else message["weight"]
    if weight not in (0, 1):
        raise Fault(f"{where}.weight: {weight!r} is neither 0 nor 1; write one of them")
    calls = _calls(message, where) if role == "assistant" else ()
    return Turn(
        role,
        _content(message, where, may_be_empty=bool(calls) or role == "tool"),
        learned=learned and role == "assistant" and weight == 1,
        calls=calls,
        name=optional(message, "name", where=f"{where}.") or None,
        call_id=optional(message, "tool_call_id", where=f"{where}.") or None,
    )


def _content(message: Mapping[str, Any], where: str, *, may_be_empty: bool) -> str:
    """A text, or the texts of a list of parts."""
    given = message.get("content")
    if isinstance(given, list):
        for number, part in enumerate(given):
            if not isinstance(part, dict) or part.get("type", "text") != "text":
                found = part.get("type") if isinstance(part, dict) else kind(part)
                raise Fault(f"{where}.content[{number}]: is {found}; only text can be learned; leave the part out")
        texts = [string(part, "text", where=f"{where}.content[{number}].") for number, part in enumerate(given)]
        message = {"content": "".join(texts)}
    take = optional if may_be_empty else string
    return take(message, "content", where=f"{where}.")


def _calls(message: Mapping[str, Any], where: str) -> tuple[Call, ...]:
    given = message.get("tool_calls")
    if message.get("function_call") is not None:  # OpenAI's older form of a single call
        given = [{"function": message["function_call"]}]
    if given is None:
        return ()
    if not isinstance(given, list):
        raise Fault(f"{where}.tool_calls: is {kind(given)}; it must be a list")
    calls = []
    for number, call in enumerate(given):
        place = f"{where}.tool_calls[{number}]"
        if not isinstance(call, dict):
            raise Fault(f"{place}: is {kind(call)}; it must be an object with a function")
        calls.append(_call(call.get("function", call), place, optional(call, "id", where=f"{place}.") or None))
    return tuple(calls)


def _call(function: Any, where: str, name: str | None = None) -> Call:
    if not isinstance(function, dict):
        raise Fault(f"{where}.function: is {kind(function)}; it must be an object with name and arguments")
    arguments = decoded(function.get("arguments") or {}, f"{where}.arguments")
    if not isinstance(arguments, dict):
        raise Fault(f"{where}.arguments: is {kind(arguments)}; it must be an object, or the JSON text of one")
    return Call(string(function, "name", where=f"{where}."), clean(arguments, f"{where}.arguments"), id=name)


def _said(said: Any, where: str) -> Turn:
    speaker = str(said.get("from")) if isinstance(said, dict) else ""
    if speaker not in _SPEAKERS:
        raise Fault(f"{where}: has no `from` of {', '.join(_SPEAKERS)}; name one")
    if speaker == "function_call":
        given = decoded(said.get("value"), f"{where}.value")
        calls = given if isinstance(given, list) else [given]
        return Turn("assistant", "", learned=True, calls=tuple(_call(call, f"{where}.value") for call in calls))
    role = _SPEAKERS[speaker]
    return Turn(role, string(said, "value", where=f"{where}."), learned=role == "assistant")
