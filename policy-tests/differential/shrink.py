"""The smallest world that still differs: whatever can be left out is left out, again and again."""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Line = dict[str, Any]
Path = tuple[str | int, ...]
Differs = Callable[[Sequence[Line]], bool]

_SHRUNK = ("policies", "peers", "namespaces", "dns", "cidr_groups", "config")
_KEPT = frozenset({"apiVersion", "kind", "name"})  # without them an object is another question


def shrunk(lines: Sequence[Line], differs: Differs) -> list[Line]:
    """A world line, with or without its one flow line, cut down while `differs` says that the same fields differ.

    Ends at a world of which no single part can go; `differs` is asked once per part and pass.
    """
    world, rest = copy.deepcopy(lines[0]), list(lines[1:])
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for path in _places(world):
            if not _is_there(world, path):
                continue
            candidate = _without(world, path)
            if differs([candidate, *rest]):
                world, is_smaller = candidate, True
    return [world, *rest]


def _places(world: Line) -> list[Path]:
    """Every part that may go, large ones first, the later of two neighbours first, so that indices stay valid."""
    found = [path for name in _SHRUNK if name in world for path in _below(world[name], (name,))]
    return sorted(found, key=lambda path: (len(path), [-step if isinstance(step, int) else 0 for step in path]))


def _below(value: Any, path: Path) -> Iterator[Path]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        if step not in _KEPT:
            yield (*path, step)
        yield from _below(inner, (*path, step))


def _is_there(value: Any, path: Path) -> bool:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _without(world: Line, path: Path) -> Line:
    made = copy.deepcopy(world)
    place: Any = made
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return made
