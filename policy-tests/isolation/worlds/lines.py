"""Fields of a JSON line, read strictly: a wrong type is named, never a crash."""

from collections.abc import Mapping
from typing import Any


class LineError(ValueError):
    """A line that is no question; the text says what is wrong with which field."""


Fields = Mapping[str, Any]


def mapping(value: object, what: str) -> Fields:
    if not isinstance(value, dict):
        raise _mistyped(value, what, "a mapping")
    return value


def items(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise _mistyped(value, what, "a list")
    return value


def text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise _mistyped(value, what, "a string")
    return value


def texts(value: object, what: str) -> tuple[str, ...]:
    return tuple(text(item, f"{what}[{index}]") for index, item in enumerate(items(value, what)))


def number(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _mistyped(value, what, "a whole number")
    return value


def flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise _mistyped(value, what, "true or false")
    return value


def labels(value: object, what: str) -> dict[str, str]:
    """key -> value, both strings."""
    return {key: text(found, f"{what}.{key}") for key, found in mapping(value, what).items()}


def shown(value: object) -> str:
    """A value as an error shows it, cut short."""
    written = repr(value)
    return written if len(written) <= _LONGEST else f"{written[:_LONGEST]}..."


_LONGEST = 80


def _mistyped(value: object, what: str, wanted: str) -> LineError:
    return LineError(f"{what} is {shown(value)}, which is not {wanted}")
