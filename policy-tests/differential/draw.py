"""Seeded choices out of named tables of shapes, which are counted: the catalogue is covered when each was drawn."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")


class _Absent:
    """The value of a field that is not written."""


ABSENT = _Absent()
_OFTEN = 3  # how much more weight a broken shape has where it may be drawn at all


@dataclass(eq=False)
class Draw:
    """One seed's choices. drawn: how often each shape was taken, as `table: shape`.

    breaks: whether shapes may be drawn for which the agent rejects the object; one such rule loses the whole object,
    so that most worlds do without.
    """

    random: Random
    breaks: bool = True
    drawn: Counter[str] = field(default_factory=Counter)

    def one(self, items: Sequence[T]) -> T:
        return self.random.choice(items)

    def some(self, items: Sequence[T], *, least: int = 1, most: int = 2) -> list[T]:
        """Different items, in any order."""
        return self.random.sample(items, min(len(items), self.random.randint(least, most)))

    def times(self, make: Callable[["Draw"], T], *, least: int = 1, most: int = 2) -> list[T]:
        return [make(self) for _ in range(self.random.randint(least, most))]

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def shape(self, table: "Table") -> Any:
        """A value of the table; one that `Table.fields` made may be ABSENT."""
        (name,) = self.random.choices(table.names, table.weights if self.breaks else table.sound)
        self.drawn[f"{table.name}: {name}"] += 1
        return table.shapes[name][1](self)


@dataclass(frozen=True, eq=False)
class Table:
    """Shapes by name, each with its weight and how it is made. broken: those that lose the object."""

    name: str
    shapes: Mapping[str, tuple[float, Callable[[Draw], Any]]]
    broken: frozenset[str] = frozenset()
    names: list[str] = field(init=False)
    weights: list[float] = field(init=False)
    sound: list[float] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", list(self.shapes))
        weights = {name: weight for name, (weight, _) in self.shapes.items()}
        often = [weight * (_OFTEN if name in self.broken else 1) for name, weight in weights.items()]
        object.__setattr__(self, "weights", often)
        sound = [0.0 if name in self.broken else weight for name, weight in weights.items()]
        object.__setattr__(self, "sound", sound)

    def catalogue(self) -> list[str]:
        """The names under which its shapes are counted."""
        return [f"{self.name}: {name}" for name in self.names]


def always(value: Any) -> Callable[[Draw], Any]:
    """A shape that is the same each time."""
    return lambda _: value


def written(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping without the fields that are not written."""
    return {key: value for key, value in fields.items() if value is not ABSENT}
