"""Looking at every value of many objects, which share most of their parts (templates.py): each part is seen once."""

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Everywhere(Generic[T]):
    """What `look` finds in values at any depth. look: key and value -> finds; items of a list have the list's key.

    Results are kept by identity, with the part itself, so that they hold for as long as they are kept.
    """

    def __init__(self, look: Callable[[str, Any], Iterable[T]]) -> None:
        self._look = look
        self._seen: dict[tuple[int, str], tuple[Any, tuple[T, ...]]] = {}

    def inside(self, value: Any, key: str = "") -> tuple[T, ...]:
        """The finds inside a mapping or a list, not at it itself."""
        place = (id(value), key)
        if (known := self._seen.get(place)) is None:
            found: list[T] = []
            for step, child in value.items() if isinstance(value, dict) else ((key, item) for item in value):
                found += self._look(step, child)
                if isinstance(child, dict | list):
                    found += self.inside(child, step)
            known = self._seen[place] = (value, tuple(found))
        return known[1]
