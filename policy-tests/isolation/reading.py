"""The judge's own YAML reader: bounded, with a line for every path, and stricter than YAML.

Refused: anchors, tags, keys that repeat, words that YAML 1.1 and 1.2 read differently (`yes`, `0o14`, dates). What two
readers could understand differently cannot be proved about.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from isolation.refusals import Refused

DocumentPath = tuple[str | int, ...]
Lines = dict[DocumentPath, int]

MAX_DEPTH = 64

_STRING, _INT, _FLOAT = "tag:yaml.org,2002:str", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_BOOL, _NULL = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null"
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)")
_ELSEWHERE = re.compile(r"[yYnN]|0o[0-7]+")  # plain strings here, booleans or numbers to readers in Go or of YAML 1.2
_FRACTION = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]+)?")


def read_documents(text: str, *, where: str) -> Iterator[tuple[dict[str, Any], Lines]]:
    """Each document of the text as plain data, with the line of each path. Raises Refused."""
    try:
        roots = list(yaml.compose_all(text, Loader=yaml.CSafeLoader))
    except yaml.YAMLError as error:
        raise Refused(where=where, at="", why=f"is no YAML: {' '.join(str(error).split())}") from error
    for root in roots:
        if root is None:
            continue
        lines: Lines = {}
        body = _Reader(where, lines).value(root, ())
        if not isinstance(body, dict):
            raise Refused(where=where, at="", why="is no mapping; a rendered file holds one Kubernetes object")
        yield body, lines


class _Reader:
    """One document; `seen` finds anchors, because the composer hands out one node for all uses of an anchor."""

    def __init__(self, where: str, lines: Lines) -> None:
        self.where = where
        self.lines = lines
        self.seen: set[int] = set()

    def value(self, node: yaml.Node, path: DocumentPath) -> Any:
        self.lines[path] = node.start_mark.line + 1
        if id(node) in self.seen:
            raise self.refused(path, "an anchor is used twice; write the value out")
        self.seen.add(id(node))
        if len(path) > MAX_DEPTH:
            raise self.refused(path, f"is nested deeper than {MAX_DEPTH}")
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self.scalar(node, path)

    def mapping(self, node: yaml.MappingNode, path: DocumentPath) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.scalar(key_node, path)
            if not isinstance(key, str):
                raise self.refused(path, f"key {key!r} is no string; quote it")
            if key in made:
                raise self.refused(path, f"key {key!r} stands twice; keep one")
            made[key] = self.value(value_node, (*path, key))
            self.lines[*path, key] = key_node.start_mark.line + 1
        return made

    def scalar(self, node: yaml.Node, path: DocumentPath) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            raise self.refused(path, "a key is no string; quote it")
        text = node.value
        if node.tag == _STRING and (node.style or not _ELSEWHERE.fullmatch(text)):
            return text
        if node.tag == _NULL and text in {"null", ""}:
            return None
        if node.tag == _BOOL and text in {"true", "false"}:
            return text == "true"
        if node.tag == _INT and _DECIMAL.fullmatch(text):
            return int(text)
        if node.tag == _FLOAT and _FRACTION.fullmatch(text):
            return float(text)
        raise self.refused(path, f"{text!r} is read differently by YAML 1.1 and 1.2; quote it")

    def refused(self, path: DocumentPath, why: str) -> Refused:
        line = self.lines.get(path, 1)
        return Refused(where=f"{self.where}:{line}", at=".".join(str(step) for step in path), why=why)
