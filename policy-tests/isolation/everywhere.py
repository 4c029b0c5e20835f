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
        self._seen: dict[int, tuple[Any, tuple[T, ...]]] = {}

    def inside(self, value: Any, key: str = "") -> tuple[T, ...]:
        """The finds inside a value, not at it itself."""
        if isinstance(value, dict):
            if (known := self._seen.get(id(value))) is None:
                found = [find for step, child in value.items() for find in self._at(step, child)]
                known = self._seen[id(value)] = (value, tuple(found))
            return known[1]
        if isinstance(value, list):
            return tuple(find for item in value for find in self._at(key, item))
        return ()

    def _at(self, key: str, value: Any) -> Iterable[T]:
        yield from self._look(key, value)
        if isinstance(value, dict | list):
            yield from self.inside(value, key)
