"""YAML -> model, with the line of every key; all errors of all files are collected, none is raised early.

Values are taken strictly, as JSON's types: `replicas: "2"` is a string and refused.
"""

import json
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.constructor import SafeConstructor

from app.contract.wire import AT
from generators.inputs.faults import explain

Model = TypeVar("Model", bound=BaseModel)
KeyPath = tuple[str | int, ...]
# libyaml's parser where PyYAML was built with it, as its wheels are: 1,000 files in a tenth of the time
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT = "tag:yaml.org,2002:str"
_SCALARS = {_TEXT, *(f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null", "timestamp"))}

_NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
_PLAIN_NUMBER = re.compile(
    r"[-+]?(0|[1-9][0-9]*)|[-+]?[0-9]*\.[0-9]+([eE][-+]?[0-9]+)?|[-+]?[0-9]+\.([eE][-+]?[0-9]+)?"
)

MOST_BYTES = 1024 * 1024  # of one input file; a tenant file has about one KiB
MOST_LEVELS = 20


@dataclass(frozen=True, order=True)
class InputError:
    """One fault of one file: subject, value, rule and remedy are in the text."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


class InputErrors(Exception):  # noqa: N818 - several at once
    """All faults found; the command line prints them and exits 2."""

    def __init__(self, errors: list[InputError]) -> None:
        self.errors = sorted(set(errors), key=_reading_order)
        files = len({error.file for error in self.errors})
        counts = f"{_count(len(self.errors), 'error')} in {_count(files, 'file')}"
        super().__init__("\n".join([*map(str, self.errors), counts]))


@dataclass
class Document:
    """A YAML file as data, and the line on which each key path begins."""

    file: str
    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    errors: list[InputError] = field(default_factory=list)

    def line(self, path: KeyPath) -> int:
        """Line of the path, else of its nearest parent that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def refuse(self, path: KeyPath, text: str) -> None:
        """Collect a fault of the value at `path`."""
        name = dotted(path)
        self.errors.append(InputError(self.file, self.line(path), f"{name}: {text}" if name else text))


def read_document(path: Path, *, shown_as: str) -> Document:
    """Read one file. What is unreadable, not UTF-8, not YAML, too large or too deep becomes an error, as do aliases."""
    document = Document(shown_as)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for, a device read without end
            document.refuse((), "is no regular file; an input is a text file")
            return document
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            document.refuse((), f"its bytes are more than an input file has ({MOST_BYTES}); is it the right file?")
            return document
        text = content.decode("utf-8")
        if _is_harmless(text, document):
            node = yaml.compose(text, Loader=_Loader)
            document.data = _plain(node, (), document) if node is not None else None
    except OSError as error:
        document.refuse((), f"cannot be read ({error.strerror}); the file has to be there and readable")
    except UnicodeDecodeError as error:
        document.refuse((), f"is not UTF-8 (byte {error.start}); save it as UTF-8 text")
    except yaml.reader.ReaderError as error:
        line = text.encode()[: error.position].count(b"\n") + 1
        shown = f"character U+{error.character:04X} is no text; remove it, or write it as an escape in double quotes"
        document.errors.append(InputError(shown_as, line, shown))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = (getattr(error, "context", None), getattr(error, "problem", None))
        problem = ", ".join(part for part in said if part) or str(error)
        line = mark.line + 1 if mark else 1
        document.errors.append(InputError(shown_as, line, f"not YAML: {problem}; mend the syntax"))
    return document


def _is_harmless(text: str, document: Document) -> bool:
    """Whether the text can be composed: no alias, which ten lines of grow without end, and few levels."""
    if "*" not in text and _most_levels(text) <= MOST_LEVELS:
        return True  # nearly every file; looking at each event takes a fifth of the reading of 1,000 tenants
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            document.errors.append(InputError(document.file, line, f"*{event.anchor}: is an alias; write it out"))
            return False
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_LEVELS:
            reason = f"is nested more than {MOST_LEVELS} levels deep; no input needs that"
            document.errors.append(InputError(document.file, line, reason))
            return False
    return True


def _most_levels(text: str) -> int:
    """A bound on a text's levels: each begins at a column of its own, is a list below its key, or has a bracket."""
    columns = max((len(line) - len(line.lstrip(" \t-?:")) for line in text.splitlines()), default=0)
    return 2 * (columns + 1) + text.count("[") + text.count("{")


def parse(document: Document, model: type[Model], **extra: Any) -> Model | None:
    """The document as a model; None, with the faults collected in the document, when it is none."""
    if document.errors:
        return None
    if not isinstance(document.data, dict):
        document.refuse((), "is not a mapping; write `key: value` lines")
        return None
    if beside := extra.keys() & document.data.keys():
        for key in beside:
            document.refuse((key,), explain({"type": "extra_forbidden"}))
        return None
    try:
        # by way of JSON, whose strict mode knows lists for tuples and text for enums and dates, and coerces nothing
        return model.model_validate_json(json.dumps({**document.data, **extra}, default=_jsonable), strict=True)
    except ValidationError as error:
        faults = [(_path(fault), dict(fault)) for fault in error.errors()]
        for path, fault in faults:
            inner = any(len(other) > len(path) and other[: len(path)] == path for other, _ in faults)
            if not (inner and fault["type"] == "too_short"):  # a list is short because its items were refused
                document.refuse(path, explain(fault))
        return None


def dotted(path: KeyPath) -> str:
    """`("egress", 1)` -> `egress[1]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _plain(node: yaml.Node, path: KeyPath, document: Document) -> Any:
    if path:  # faults of the file as a whole stand at line 1
        document.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            document.lines[(*path, key)] = key_node.start_mark.line + 1
            if key in result:
                document.refuse((*path, key), "stands twice; keep one")
            result[key] = _plain(value_node, (*path, key), document)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, index), document) for index, item in enumerate(node.value)]
    return _scalar(node, path, document)


def _scalar(node: yaml.Node, path: KeyPath, document: Document) -> Any:
    """A date that does not exist, a number too long or a tag of another program has no value here."""
    if node.tag not in _SCALARS:
        document.refuse(path, f"{node.tag} is no tag of input files; write the plain value")
        return None
    if node.tag == _TEXT:
        return node.value
    if node.tag in _NUMBERS and not _PLAIN_NUMBER.fullmatch(node.value):
        text = "is no plain decimal number (YAML reads 010 as 8 and 1:30 as 90); write its digits, or quote it if it is"
        document.refuse(path, f"{node.value[:40]!r}: {text} text")
        return None
    try:
        return SafeConstructor().construct_object(node)
    except (ValueError, KeyError, yaml.YAMLError):
        document.refuse(path, f"{str(node.value)[:40]!r}: cannot be read as a value; quote it if it is text")
        return None


def _jsonable(value: Any) -> Any:
    """What YAML reads and JSON has no type for: dates; and models given beside the document."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    return repr(value)


def _path(fault: Mapping[str, Any]) -> KeyPath:
    """Where the fault is: a rule about a whole part names the key below it that breaks the rule."""
    below = fault.get("ctx", {}).get(AT, ())
    return (*(part for part in fault["loc"] if not _is_union_tag(part)), *below)


def _is_union_tag(part: str | int) -> bool:
    return isinstance(part, str) and ("[" in part or part == "function-after")


def _reading_order(error: InputError) -> tuple[str, int, list[str | int]]:
    """By line, and on one line `egress[2]` before `egress[10]`: every second part is a number."""
    parts = re.split(r"([0-9]+)", error.text)
    return error.file, error.line, [int(part) if index % 2 else part for index, part in enumerate(parts)]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
