"""What pydantic finds, in our words: the value, the rule that it breaks, and what to write instead."""

from typing import Any

_KINDS = {  # what a field holds -> how it is written
    "int": "is no whole number; write one without quotes and without a fraction",
    "float": "is no number; write one without quotes",
    "decimal": "is no number; write one without quotes",
    "bool": "is neither true nor false; write one of the two without quotes",
    "string": "is no text; put it in quotes",
    "dict": "is no mapping; write `key: value` lines",
    "model": "is no mapping; write `key: value` lines",
    "tuple": "is no list; write `- value` lines",
    "list": "is no list; write `- value` lines",
    "datetime": "is no time; write one as 2026-01-31T09:00:00Z",
}
_BOUNDS = {  # pydantic's name of the fault and of its bound
    "greater_than_equal": ("ge", "is less than {}; raise it"),
    "greater_than": ("gt", "is not more than {}; raise it"),
    "less_than_equal": ("le", "is more than {}; lower it"),
    "less_than": ("lt", "is not less than {}; lower it"),
    "string_too_long": ("max_length", "has more than {} characters; shorten it"),
    "string_too_short": ("min_length", "has fewer than {} characters; fill it in"),
    "string_pattern_mismatch": ("pattern", "is not of the form {}; write it so"),
    "literal_error": ("expected", "is not {}; write one of those"),
    "enum": ("expected", "is not {}; write one of those"),
}


def explain(fault: dict[str, Any]) -> str:
    """One entry of `ValidationError.errors()` as a sentence."""
    kind, bounds = str(fault["type"]), fault.get("ctx", {})
    match kind:
        case "missing":
            return "is missing; it is mandatory"
        case "extra_forbidden":
            return "is no key here; remove it or mend its spelling"
        case "too_short":
            return f"has {bounds['actual_length']} entries; give at least {bounds['min_length']}"
        case "too_long":
            return f"has {bounds['actual_length']} entries; {bounds['max_length']} at most, so remove some"
        case "finite_number":
            return "is no finite number; write one that is"
        case "timezone_aware":
            return f"{fault['input']!r}: has no time zone; end it with Z"
    return _with_value(fault.get("input"), _rule(kind, bounds, str(fault["msg"])))


def _rule(kind: str, bounds: dict[str, Any], message: str) -> str:
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return words.format(bounds[bound])
    noun, _, of = kind.partition("_")
    if noun in _KINDS and of in {"type", "parsing", "from_float"}:
        return _KINDS[noun]
    return message.removeprefix("Value error, ")


def _with_value(value: Any, text: str) -> str:
    """A mapping or list is not shown: its line is, and what is in it may be long."""
    return text if isinstance(value, dict | list) else f"{value!r}: {text}"
