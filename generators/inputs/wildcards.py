"""No wildcard in any input: a star admits what nobody reviewed."""

from collections.abc import Iterator
from typing import Any

from generators.inputs.reading import Document, KeyPath

FREE = frozenset({("displayName",), ("drift", "schedule")})  # text for people; cron, where a star is a field


def refuse_wildcards(document: Document) -> None:
    """Collect every star in a key or value of the file."""
    for path, text in _texts(document.data, ()):
        if "*" in text and path not in FREE:
            document.refuse(
                path, f"{text!r} is a wildcard; name each value exactly (a star admits what nobody reviewed)"
            )


def _texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    match value:
        case dict():
            for key, inner in value.items():
                yield (*path, key), str(key)
                yield from _texts(inner, (*path, key))
        case list():
            for index, inner in enumerate(value):
                yield from _texts(inner, (*path, index))
        case str():
            yield path, value
