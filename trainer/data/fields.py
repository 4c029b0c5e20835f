"""Fields of a row: taken out with the reason when they are not what they must be, and normalised."""

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Fault(ValueError):  # noqa: N818 - a finding about data
    """What is wrong with a row: field, value, remedy."""


def normalised(text: str) -> str:
    """Unicode NFC, lines ended by a line feed, no control characters but line feed and tab.

    Raises UnicodeEncodeError for half a surrogate pair, which no UTF-8 file can hold and JSON can.
    """
    if text.isascii() and text.isprintable():
        return text
    text.encode()
    return _CONTROLS.sub("", unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")))


def string(row: Mapping[str, Any], key: str, *, where: str = "") -> str:
    """A text that says something. where: what stands before the field's name in an error. Raises Fault."""
    value = row.get(key)
    if not isinstance(value, str):
        found = "is missing" if value is None else f"is {kind(value)}"
        raise Fault(f"{where}{key}: {found}; it must be a string")
    text = _normal(value, f"{where}{key}")
    if not text.strip():
        raise Fault(f"{where}{key}: is empty; write the text")
    return text


def optional(row: Mapping[str, Any], key: str, *, where: str = "") -> str:
    """A text; empty where the field is missing, null or blank. Raises Fault."""
    value = row.get(key)
    is_blank = value is None or (isinstance(value, str) and not value.strip())
    return "" if is_blank else string(row, key, where=where)


def listed(row: Mapping[str, Any], key: str, *, where: str = "") -> list[Any]:
    """A list, or the JSON text of one. Raises Fault."""
    value = decoded(row.get(key), f"{where}{key}")
    if not isinstance(value, list):
        found = "is missing" if value is None else f"is {kind(value)}"
        raise Fault(f"{where}{key}: {found}; it must be a list")
    return value


def decoded(value: Any, where: str) -> Any:
    """What JSON text says; what is no text as it is. Raises Fault."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise Fault(f"{where}: is a string that is not JSON ({error}); write the JSON itself") from error


def clean(value: Any, where: str) -> Any:
    """A JSON value with every text in it normalised. Raises Fault."""
    if isinstance(value, str):
        return _normal(value, where)
    if isinstance(value, list):
        return [clean(entry, where) for entry in value]
    if isinstance(value, dict):
        return {_normal(str(name), where): clean(entry, where) for name, entry in value.items()}
    return value


def kind(value: Any) -> str:
    """What a value is, in JSON's words."""
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return "null" if value is None else names.get(type(value), f"a {type(value).__name__}")


def _normal(text: str, where: str) -> str:
    try:
        return normalised(text)
    except UnicodeEncodeError as error:
        raise Fault(f"{where}: holds half a surrogate pair; write whole characters") from error
