"""Strict reading of one document: each value knows its place, and a field that nobody asked for is a refusal."""

from dataclasses import dataclass
from typing import Any

from isolation.manifests.reading import DocumentPath
from isolation.manifests.refusals import Refused
from isolation.manifests.tree import Document


@dataclass(frozen=True, slots=True)
class Node:
    """A value inside a document."""

    document: Document
    path: DocumentPath
    value: Any

    def fields(self, *known: str) -> dict[str, "Node"]:
        """The fields of a mapping that are there; raises Refused for a field outside of `known`."""
        if not isinstance(self.value, dict):
            raise self.refused(f"{self.value!r} is no mapping")
        for key in self.value:
            if key not in known:
                raise self._child(key).refused(f"field `{key}` is not understood here; known: {', '.join(known)}")
        return {key: self._child(key) for key in self.value}

    def items(self) -> list["Node"]:
        """The items of a list; a missing value is no list."""
        if not isinstance(self.value, list):
            raise self.refused(f"{self.value!r} is no list")
        return [self._child(index) for index in range(len(self.value))]

    def has(self, key: str) -> bool:
        """Whether the mapping has the field, with a value."""
        return isinstance(self.value, dict) and self.value.get(key) is not None

    def at(self, key: str) -> "Node":
        """A field of the mapping; its value is None when it is absent."""
        return Node(self.document, (*self.path, key), self.value.get(key) if isinstance(self.value, dict) else None)

    def each(self, key: str) -> list["Node"]:
        """The items of a field; none when the field is absent."""
        return self.at(key).items() if self.has(key) else []

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self.refused(f"{self.value!r} is no string")
        return self.value

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.refused(f"{self.value!r} is neither true nor false")
        return self.value

    @property
    def is_missing(self) -> bool:
        """Null; Kubernetes reads it like an absent field."""
        return self.value is None

    @property
    def shown(self) -> str:
        """`spec.egress[1].toPorts[0]`."""
        return dotted(self.path)

    def refused(self, why: str) -> Refused:
        where = f"{self.document.file}:{self.document.line(self.path)}"
        return Refused(where=where, at=dotted(self.path), why=why)

    def _child(self, step: str | int) -> "Node":
        return Node(self.document, (*self.path, step), self.value[step])


def dotted(path: DocumentPath) -> str:
    """`spec.egress[1].toPorts[0]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
