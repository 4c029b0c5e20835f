"""A tenant of the rendered tree under another name, in place of it or beside it."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from isolation.manifests.tree import Document, Tree

Spelling = Callable[[str], str]


def spelling(old: str, new: str) -> Spelling:
    """The name replaced wherever it stands as a word of its own: `acme-train`, `tenon-acme`, `s3://tenon-acme/x`."""
    word = re.compile(rf"(?<![A-Za-z0-9]){re.escape(old)}(?![A-Za-z0-9])")
    return lambda text: word.sub(new, text)


def renamed(tree: Tree, old: str, new: str) -> Tree:
    """The tree in which tenant `old` is called `new` everywhere."""
    say = spelling(old, new)
    return _sorted(tuple(_renamed(document, say) for document in tree.documents))


def with_twin(tree: Tree, old: str, new: str) -> Tree:
    """The tree and one more tenant, which has all that `old` has, under its own name."""
    say = spelling(old, new)
    own = (document for document in tree.documents if document.place[:2] == ("tenants", old))
    return _sorted((*tree.documents, *(_renamed(document, say) for document in own)))


def _sorted(documents: tuple[Document, ...]) -> Tree:
    return Tree(tuple(sorted(documents, key=lambda document: document.file)))


def _renamed(document: Document, say: Spelling) -> Document:
    return replace(
        document,
        file=say(document.file),
        body=_said(document.body, say),
        lines={tuple(_said(step, say) for step in path): line for path, line in document.lines.items()},
        place=tuple(say(part) for part in document.place),
    )


def _said(value: Any, say: Spelling) -> Any:
    if isinstance(value, str):
        return say(value)
    if isinstance(value, dict):
        return {say(key): _said(inner, say) for key, inner in value.items()}
    if isinstance(value, list):
        return [_said(inner, say) for inner in value]
    return value
