"""Mutants of the rendered tree: one object changed, and the one invariant of the tree that must notice."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isolation.classes.inventory import Inventory
from isolation.classes.pod_classes import tenants_of
from isolation.classes.profile import read_profile
from isolation.manifests.tree import Document, Tree

Body = dict[str, Any]
Change = Callable[[Body], object]


@dataclass(frozen=True)
class Mutant:
    """name: the object's, or how it begins; others: invariants that see the same fault from their own side."""

    row: str
    invariant: str
    kind: str
    namespace: str | None
    name: str
    change: Change
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.row or 'B40'} {self.invariant} {self.kind} {self.name}"

    def tree(self, tree: Tree) -> Tree:
        """The tree with the change made. Raises StopIteration when it does not hold the object."""
        document = next(each for each in tree.of_kind(self.kind) if self._is(each))
        return tree.changed(document, self.change)

    def _is(self, document: Document) -> bool:
        return document.namespace == self.namespace and document.name.startswith(self.name)


def inventory_of(tree: Tree) -> Inventory:
    """What the invariants of the tree are asked about. Raises Refused for a profile that is not understood."""
    return Inventory(tree, read_profile(tree), tenants_of(tree))


def steps(path: str) -> list[str]:
    """`metadata/labels/tenon.dev~tenant`: a `~` stands for a slash inside of a key."""
    return [step.replace("~", "/") for step in path.split("/")]


def at(path: str, value: object) -> Change:
    """Put a value at a path; numbers are indexes of lists."""

    def change(body: Body) -> None:
        *parents, last = steps(path)
        holder: Any = body
        for step in parents:
            holder = holder[int(step)] if isinstance(holder, list) else holder.setdefault(step, {})
        holder[int(last) if isinstance(holder, list) else last] = value

    return change


def drop(path: str) -> Change:
    """Take away what stands at the path."""

    def change(body: Body) -> None:
        *parents, last = steps(path)
        holder: Any = body
        for step in parents:
            holder = holder[int(step)] if isinstance(holder, list) else holder[step]
        del holder[int(last) if isinstance(holder, list) else last]

    return change


def append(path: str, value: object) -> Change:
    """Add an item to the list at the path, which is made where there is none."""

    def change(body: Body) -> None:
        *parents, last = steps(path)
        holder: Any = body
        for step in parents:
            holder = holder[int(step)] if isinstance(holder, list) else holder.setdefault(step, {})
        holder.setdefault(last, []).append(value)

    return change


def in_manifest(old: str, new: str) -> Change:
    """Replace text in the manifests that a workflow template holds. Raises LookupError when none has it."""

    def change(body: Body) -> None:
        resources = [each["resource"] for each in body["spec"]["templates"] if "manifest" in each.get("resource", {})]
        if not any(old in each["manifest"] for each in resources):
            raise LookupError(f"no manifest holds {old!r}")
        for each in resources:
            each["manifest"] = each["manifest"].replace(old, new)

    return change


def template(name: str, change: Change) -> Change:
    """Change the template of that name."""

    def change_it(body: Body) -> None:
        (found,) = (each for each in body["spec"]["templates"] if each["name"] == name)
        change(found)

    return change_it
