"""The input behind a rendered file: its header names file and key, and the line is looked up when it is asked for."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from generators.inputs.reading import Document, KeyPath, dotted, read_document

_HEADER = re.compile(r"# from: (?P<file>\S+)(?: (?P<key>\S+))?\n")
# Whose object it is when no key of the file is behind it: whoever has the file has the object.
_EVERYONES = (
    (re.compile(r"tenants/[^/]+\.yaml"), "every tenant has it"),
    (re.compile(r"tenants/[^/]+/models/[^/]+\.yaml"), "every model has it"),
    (re.compile(r"platform\.yaml"), "no one key of it"),
)
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True)
class InputKey:
    """file: below the root; key: dotted, empty for the whole file; line: None where the root has no such file."""

    file: str
    key: str
    line: int | None

    def __str__(self) -> str:
        if not self.key:
            said = next((said for pattern, said in _EVERYONES if pattern.fullmatch(self.file)), "")
            return f"{self.file} ({said})" if said else self.file
        return f"{self.file if self.line is None else f'{self.file}:{self.line}'} {self.key}"


def input_behind(root: Path, rendered: Path, *, value: str = "") -> InputKey | None:
    """The input key that a rendered file came from; None for a file without a header.

    value: a host or another word; where the key is a list that holds it, its item is meant.
    """
    try:
        with rendered.open(encoding="utf-8") as file:
            found = _HEADER.fullmatch(file.readline())
    except (OSError, UnicodeDecodeError):
        return None
    return input_key(root, found["file"], found["key"] or "", value=value) if found else None


def input_key(root: Path, file: str, key: str, *, value: str = "") -> InputKey:
    """The key with its line."""
    if not (root / file).is_file():
        return InputKey(file, key, None)
    document = _read(root / file, file)
    path = tuple(word or int(number) for word, number in _STEP.findall(key))
    at = _value(document, path)
    if isinstance(at, list) and value in at:
        path = (*path, at.index(value))
    return InputKey(file, dotted(path), document.line(path))


@lru_cache(maxsize=64)
def _read(path: Path, file: str) -> Document:
    return read_document(path, shown_as=file)


def _value(document: Document, path: KeyPath) -> object:
    value = document.data
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value
