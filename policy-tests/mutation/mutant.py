"""A mutant: the rendered tree with one policy, or one label of a Namespace, made wrong in one place."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from isolation.manifests.node import dotted
from isolation.manifests.reading import DocumentPath
from isolation.manifests.tree import Document, Tree

Body = dict[str, Any]
_GONE = object()


@dataclass(frozen=True, eq=False)
class Mutant:
    """operator: what was done; path: where in the object; body: the object now, None when it is removed."""

    document: Document
    operator: str
    path: DocumentPath
    body: Body | None

    @property
    def key(self) -> str:
        """Tells the mutants of one tree apart, and finds one again in another run."""
        reference = "/".join(filter(None, (self.document.kind, self.document.namespace, self.document.name)))
        return " ".join(filter(None, (reference, self.operator, dotted(self.path))))

    def tree(self, tree: Tree) -> Tree:
        if self.body is None:
            return tree.without(self.document)
        changed = replace(self.document, body=self.body)
        return Tree(tuple(changed if each is self.document else each for each in tree.documents))


@dataclass(frozen=True)
class Place:
    """A value inside a document, and what the document becomes when another value stands there."""

    document: Document
    path: DocumentPath
    value: Any

    def walk(self) -> Iterator["Place"]:
        """This place and every place below."""
        yield self
        items = self.value.items() if isinstance(self.value, dict) else enumerate(self.value or ())
        if isinstance(self.value, dict | list):
            for step, child in items:
                yield from Place(self.document, (*self.path, step), child).walk()

    @property
    def name(self) -> str:
        """The key that the value stands under; of an item, that of its list."""
        return next((step for step in reversed(self.path) if isinstance(step, str)), "")

    @property
    def is_item(self) -> bool:
        return bool(self.path) and isinstance(self.path[-1], int)

    @property
    def is_list(self) -> bool:
        return not self.is_item and isinstance(self.value, list)

    def put(self, operator: str, value: Any) -> Mutant:
        return Mutant(self.document, operator, self.path, self._body(value))

    def removed(self, operator: str) -> Mutant:
        return Mutant(self.document, operator, self.path, self._body(_GONE))

    def added(self, operator: str, *items: Any) -> Mutant:
        """With more items at the end of the list."""
        return self.put(operator, [*self.value, *copy.deepcopy(items)])

    def _body(self, value: Any) -> Body:
        body = copy.deepcopy(self.document.body)
        holder: Any = body
        for step in self.path[:-1]:
            holder = holder[step]
        if value is _GONE:
            del holder[self.path[-1]]
        else:
            holder[self.path[-1]] = value
        return body
