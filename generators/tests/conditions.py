"""Conditions of analysis metrics, read and decided as Argo Rollouts does, as far as we write them.

condition := term {"&&" term};  term := "true" | "false" | "!" term | "(" condition ")" | "len(result)" op number |
"isNaN(result[0])" | "isInf(result[0])" | "result[0]" op number;  op := "<" | "<=" | ">" | ">=" | "=="
Source: Argo Rollouts 1.10, utils/evaluate/evaluate.go. The API server does not read them, so a slip would be found by
the first canary.
"""

import math
import operator
import re
from collections.abc import Callable, Iterator, Sequence

_TOKEN = re.compile(r"\s*(&&|<=|>=|==|[<>!()]|true|false|len\(result\)|isNaN|isInf|result\[0\]|-?\d+(?:\.\d+)?)")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}


class ConditionError(Exception):
    """The text is no condition; or it asks for a value of an empty result, which Rollouts calls an error."""


def holds(condition: str, result: Sequence[float]) -> bool:
    """Whether it is true of the values that Prometheus returned. Raises ConditionError."""
    reader = _Reader([*_tokens(condition)], result)
    answer = reader.condition(asked=True)
    if reader.rest:
        raise ConditionError(f"{condition!r}: {reader.rest[0]!r} is left over")
    return answer


def phase(success: str, failure: str, result: Sequence[float]) -> str:
    """What one measurement says."""
    if holds(failure, result):
        return "Failed"
    return "Successful" if holds(success, result) else "Inconclusive"


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            raise ConditionError(f"{text!r}: {text[at:]!r} is not understood")
        yield found[1]
        at = found.end()


class _Reader:
    """asked False: the part is read and not decided, as behind a false `&&`."""

    def __init__(self, tokens: list[str], result: Sequence[float]) -> None:
        self.rest = tokens
        self.result = result

    def condition(self, *, asked: bool) -> bool:
        answer = self.term(asked=asked)
        while self.rest[:1] == ["&&"]:
            self.take("&&")
            answer = self.term(asked=asked and answer) and answer
        return answer

    def term(self, *, asked: bool) -> bool:
        match token := self.take():
            case "true" | "false":
                return token == "true"
            case "!":
                return not self.term(asked=asked)
            case "(":
                answer = self.condition(asked=asked)
                self.take(")")
                return answer
            case "isNaN" | "isInf":
                self.take("(")
                self.take("result[0]")
                self.take(")")
                return asked and (math.isnan if token == "isNaN" else math.isinf)(self.value())
            case "len(result)" | "result[0]":
                compare, number = _COMPARE[self.take()], float(self.take())
                return asked and compare(len(self.result) if token == "len(result)" else self.value(), number)
        raise ConditionError(f"{token!r} begins no term")

    def take(self, wanted: str | None = None) -> str:
        if not self.rest or (wanted and self.rest[0] != wanted):
            raise ConditionError(f"{wanted or 'more'} is expected, {self.rest[:1]} is there")
        return self.rest.pop(0)

    def value(self) -> float:
        if not self.result:
            raise ConditionError("an empty result has no first value")
        return self.result[0]
