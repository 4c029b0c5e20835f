"""A rendered file holds one object, and whoever splits or unfolds it finds the same one.

Argo CD splits a file by lines before anything reads YAML (argo-cd 3.5 `splitYAMLOrJSON`: apimachinery's `YAMLReader`
takes each line that begins with `---` and then nothing, blanks or `#` for the end of a document; text that begins with
`{` it reads as JSON), and applies the items of an object that has `items` in place of it, whatever its kind. So
`---#x:`, a key to YAML, hides an object, and a carriage return, a line's end to YAML only, shows one that is never
applied.
"""

import re
from collections.abc import Collection, Iterable
from typing import Any

from isolation.manifests.reading import Lines
from isolation.manifests.refusals import Refused

_SPLITS = re.compile(r"^(?:---|\.\.\.).{0,20}", re.MULTILINE)
_JSON = re.compile(r"\s*\{")
_BY_NAME = (("apiVersion",), ("kind",), ("metadata", "name"))
_TEXTS = ("labels", "annotations")

Object = tuple[dict[str, Any], Lines]


def check_text(text: str, *, where: str) -> None:
    """Raises Refused for a text that is not one document to every reader."""
    if "\r" in text:
        line = text.count("\n", 0, text.index("\r")) + 1
        why = "holds a carriage return, which ends a line to some readers only; write LF"
        raise Refused(where=f"{where}:{line}", at="", why=why)
    if ("---" in text or "..." in text) and (found := _SPLITS.search(text)):
        line = text.count("\n", 0, found.start()) + 1
        why = f"{found[0]!r} begins or ends a document; a rendered file holds one object, without such lines"
        raise Refused(where=f"{where}:{line}", at="", why=why)
    if _JSON.match(text):
        raise Refused(where=f"{where}:1", at="", why="begins with a brace, so Argo CD reads JSON; write block style")


def the_object(documents: Collection[Object], *, where: str) -> Object:
    """The one document, which names itself. Raises Refused."""
    if len(documents) != 1:
        raise Refused(where=where, at="", why=f"holds {len(documents)} documents; a rendered file holds one object")
    ((body, lines),) = documents
    if unfolded := _unfolded(body):
        why = "is a list, whose items Argo CD applies in place of the object; write each into a file"
        raise Refused(where=f"{where}:{lines.get((unfolded,), 1)}", at=unfolded, why=why)
    for path in _BY_NAME:
        value: Any = body
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        if not isinstance(value, str) or not value:
            why = f"is {value!r}; every object has a text there, by which the cluster keeps it"
            raise Refused(where=f"{where}:{_line(lines, path)}", at=".".join(path), why=why)
    for key in _TEXTS:
        if not _are_texts(body["metadata"].get(key)):
            why = "is no mapping of texts, so a cluster refuses the object; quote its values"
            path = ("metadata", key)
            raise Refused(where=f"{where}:{_line(lines, path)}", at=".".join(path), why=why)
    return body, lines


def _are_texts(value: object) -> bool:
    return value is None or (isinstance(value, dict) and all(isinstance(each, str) for each in value.values()))


def _unfolded(keys: Iterable[str]) -> str | None:
    return next((key for key in keys if key.lower() == "items"), None)


def _line(lines: Lines, path: tuple[str, ...]) -> int:
    return lines.get(path) or lines.get(path[:1], 1)
