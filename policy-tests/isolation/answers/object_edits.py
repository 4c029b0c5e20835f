"""One edit of one object, and what is done to its body."""

import copy
import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import yaml

from isolation.answers.entries import Body
from isolation.manifests.reading import DocumentPath
from isolation.manifests.tree import Document


@dataclass(frozen=True)
class Edit:
    """A change of one object. document: as it is, or the new one; path: where in the object; what: in words.

    is_deny: a deny is added.
    """

    document: Document
    path: DocumentPath
    what: str
    change: Callable[[Body], object]
    is_new: bool = False
    is_deny: bool = False

    @cached_property
    def after(self) -> Document:
        """The object as it would be."""
        return edited(self.document, [self])

    @cached_property
    def size(self) -> int:
        """Lines of the object that change."""
        old, new = [] if self.is_new else _lines(self.document), _lines(self.after)
        blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
        return len(old) + len(new) - 2 * sum(block.size for block in blocks)

    def __str__(self) -> str:
        return self.what


def edited(document: Document, edits: Iterable[Edit]) -> Document:
    """A copy of the object with all edits made to it."""
    body = copy.deepcopy(document.body)
    for edit in edits:
        edit.change(body)
    return replace(document, body=body)


def appending(path: DocumentPath, item: Any) -> Callable[[Body], None]:
    """One more item in a list."""
    return lambda body: value_at(body, path).append(item)


def dropping(path: DocumentPath) -> Callable[[Body], None]:
    """Without an item; see `drop`."""
    return lambda body: drop(body, path)


def drop(body: Body, path: DocumentPath) -> None:
    """Remove an item; a section that is left without entries goes too, because an empty one rejects the object."""
    items = value_at(body, path[:-1])
    del items[path[-1]]
    if not items and path[-2] in body.get("spec", {}):
        del body["spec"][path[-2]]


def value_at(body: Any, path: DocumentPath) -> Any:
    """KeyError or IndexError where there is none."""
    for step in path:
        body = body[step]
    return body


def _lines(document: Document) -> list[str]:
    text: str = yaml.safe_dump(document.body, sort_keys=True)
    return text.splitlines()
