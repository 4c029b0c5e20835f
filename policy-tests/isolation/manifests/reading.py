"""The judge's own YAML reader: bounded, with a line for every path, and stricter than YAML.

Refused: aliases, tags, keys that repeat, words that YAML 1.1 and 1.2 read differently (`yes`, `0o14`, dates). What two
readers could understand differently cannot be proved about.

Values are made from the parser's events as they come, so that a text is given up at its first fault: a tree of nodes
would be composed by recursion in C first, which a deep enough text crashes the interpreter with.
"""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import yaml

from isolation.manifests.refusals import Refused

DocumentPath = tuple[str | int, ...]
Lines = dict[DocumentPath, int]

MAX_DEPTH = 64
_LONGEST_NUMBER = 64  # characters; more digits than any field holds, and what every reader can still turn into a number

_STRING, _INT, _FLOAT = "tag:yaml.org,2002:str", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_BOOL, _NULL = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null"
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)")
# Plain strings here, booleans or numbers to readers in Go or of YAML 1.2 (`1e5` has neither point nor sign).
_ELSEWHERE = re.compile(r"[yYnN]|0o[0-7]+|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BREAKS = re.compile("[\x85\u2028\u2029\ufeff]")  # end a line, or mark a byte order, to some readers only
_FRACTION = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]+)?")
_RESOLVER = yaml.resolver.Resolver()


class Events(Protocol):
    """Where a text's events come from."""

    def check_event(self) -> bool: ...
    def get_event(self) -> Any: ...


def _as_parsed(events: Events) -> Events:
    return events


def read_documents(text: str, *, where: str) -> Iterator[tuple[dict[str, Any], Lines]]:
    """Each document of the text as plain data, with the line of each path. Raises Refused."""
    for read in list(read_all(text, where=where)):
        yield read.body, read.lines


def read_all(text: str, *, where: str, prepared: Callable[[Events], Events] = _as_parsed) -> Iterator["Reading"]:
    """The same, with the words whose type rests on how they are spelt. prepared: what is made of the parser's events
    before they are read; an alias that is still there is refused."""
    if found := _BREAKS.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise Refused(where=f"{where}:{line}", at="", why=f"holds U+{ord(found[0]):04X}, which not all read alike")
    try:
        events = yaml.CSafeLoader(text)
    except yaml.YAMLError as error:
        raise _no_yaml(where, error) from error
    source = prepared(events)
    try:
        while source.check_event():
            if isinstance(source.get_event(), yaml.DocumentStartEvent):
                yield Reading(where, source)
    except yaml.YAMLError as error:
        raise _no_yaml(where, error) from error
    finally:
        events.dispose()


def is_plain_string(word: str) -> bool:
    """Whether every reader takes a word without quotes for a string."""
    return _tag(word) == _STRING and not _ELSEWHERE.fullmatch(word)


class Reading:
    """One document. plain: its strings that stand without quotes."""

    def __init__(self, where: str, events: Events) -> None:
        self.where = where
        self.lines: Lines = {}
        self.plain: set[str] = set()
        self._events = events
        body = self._value(self._event(), ())
        if not isinstance(body, dict):
            raise Refused(where=where, at="", why="is no mapping; a rendered file holds one Kubernetes object")
        self.body: dict[str, Any] = body

    def _event(self) -> Any:
        return self._events.get_event()

    def _value(self, event: Any, path: DocumentPath) -> Any:
        self.lines[path] = event.start_mark.line + 1
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if isinstance(event, yaml.AliasEvent):
            raise self._refused(path, "an anchor is used twice; write the value out")
        if len(path) > MAX_DEPTH:
            raise self._refused(path, f"is nested deeper than {MAX_DEPTH}")
        if event.tag is not None:
            raise self._refused(path, f"has the tag {event.tag}, which is read differently; leave it out")
        return self._mapping(path) if isinstance(event, yaml.MappingStartEvent) else self._sequence(path)

    def _sequence(self, path: DocumentPath) -> list[Any]:
        made: list[Any] = []
        while not isinstance(event := self._event(), yaml.SequenceEndEvent):
            made.append(self._value(event, (*path, len(made))))
        return made

    def _mapping(self, path: DocumentPath) -> dict[str, Any]:
        made: dict[str, Any] = {}
        while not isinstance(event := self._event(), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            if not isinstance(event, yaml.ScalarEvent):
                raise self._refused(path, "a key is no string; quote it")
            key = self._scalar(event, path)
            if not isinstance(key, str):
                raise self._refused(path, f"key {key!r} is no string; quote it")
            if key in made:
                raise self._refused(path, f"key {key!r} stands twice; keep one")
            made[key] = self._value(self._event(), (*path, key))
            self.lines[*path, key] = line
        return made

    def _scalar(self, event: Any, path: DocumentPath) -> Any:
        text: str = event.value
        tag = event.tag if event.tag not in {None, "!"} else _tag(text) if event.implicit[0] else _STRING
        if tag == _STRING and (event.style or not _ELSEWHERE.fullmatch(text)):
            if not event.style:
                self.plain.add(text)
            return text
        if tag == _NULL and text in {"null", ""}:
            return None
        if tag == _BOOL and text in {"true", "false"}:
            return text == "true"
        if text == "<<":
            raise self._refused(path, "`<<` merges mappings for some readers only; write the keys out")
        if len(text) <= _LONGEST_NUMBER:
            if tag == _INT and _DECIMAL.fullmatch(text):
                return int(text)
            if tag == _FLOAT and _FRACTION.fullmatch(text) and math.isfinite(float(text)):
                return float(text)
        shown = text if len(text) <= _LONGEST_NUMBER else f"{text[:_LONGEST_NUMBER]}..."
        raise self._refused(path, f"{shown!r} is read differently by YAML 1.1 and 1.2; quote it")

    def _refused(self, path: DocumentPath, why: str) -> Refused:
        line = self.lines.get(path, 1)
        return Refused(where=f"{self.where}:{line}", at=".".join(str(step) for step in path), why=why)


def _tag(word: str) -> str:
    """The type that YAML 1.1 gives to a word without quotes."""
    return str(_RESOLVER.resolve(yaml.ScalarNode, word, (True, False)))  # type: ignore[no-untyped-call]


def _no_yaml(where: str, error: yaml.YAMLError) -> Refused:
    mark = getattr(error, "problem_mark", None)
    line = f":{mark.line + 1}" if mark is not None else ""
    return Refused(where=f"{where}{line}", at="", why=f"is no YAML: {' '.join(str(error).split())}")
