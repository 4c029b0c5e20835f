"""What the terms of selectors leave possible: whether a pod can carry them, and whether two selectors meet."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol


class AnyTerm(Protocol):
    """One term, written or parsed."""

    @property
    def source(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def operator(self) -> str: ...
    @property
    def values(self) -> Iterable[str]: ...


@dataclass(frozen=True)
class Limit:
    """What one key may be. values: None is any."""

    values: frozenset[str] | None = None
    without: frozenset[str] = frozenset()
    must_be_there: bool = False
    must_be_absent: bool = False

    def and_also(self, other: "Limit") -> "Limit":
        values = other.values if self.values is None else self.values
        if self.values is not None and other.values is not None:
            values = self.values & other.values
        return Limit(
            values,
            self.without | other.without,
            self.must_be_there or other.must_be_there,
            self.must_be_absent or other.must_be_absent,
        )

    @property
    def is_possible(self) -> bool:
        if self.must_be_there and self.must_be_absent:
            return False
        return self.values is None or bool(self.values - self.without)


Limits = Mapping[str, Limit]  # key -> what it may be


def limits(terms: Iterable[AnyTerm]) -> Limits:
    """The terms, key by key."""
    found: dict[str, Limit] = {}
    for term in terms:
        key = f"reserved:{term.key}" if term.source == "reserved" else term.key
        found[key] = found[key].and_also(_limit(term)) if key in found else _limit(term)
    return found


def is_satisfiable(wanted: Limits) -> bool:
    """Whether some pod carries labels that every term accepts."""
    return all(limit.is_possible for limit in wanted.values())


def surely_meet(one: Limits, other: Limits) -> bool:
    """Whether the selectors are about the same pods: their terms agree, and one speaks of no key that the other leaves
    open. Two selectors on unrelated keys may meet in a pod that carries both; that is no finding."""
    few, many = (one, other) if len(one) <= len(other) else (other, one)
    if not few.keys() <= many.keys():
        return False
    return all(limit.and_also(many[key]).is_possible for key, limit in few.items())


def _limit(term: AnyTerm) -> Limit:
    named = frozenset(term.values)
    match term.operator:
        case "In":
            return Limit(values=named, must_be_there=True)
        case "NotIn":
            return Limit(without=named)
        case "Exists":
            return Limit(must_be_there=True)
        case "DoesNotExist":
            return Limit(must_be_absent=True)
        case _:
            return Limit()
