"""What an invariant answers: held, or counter-examples with the rules behind them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from isolation.classes.certificates import SideCertificate
from isolation.policies.parsing import Rule

MOST = 200  # counter-examples of one invariant that are kept; one open policy of a large cluster makes millions


@dataclass(frozen=True)
class CounterExample:
    """One thing that must not be. who: pod, flow or object; what: the flow or the fault; by: rules, each as
    `file:line path`; none where default deny, or no rule at all, decided.

    probe: a concrete flow of concrete peers, as a flow line of policy-tests/cases, that any engine can be asked;
    answer: what it shows there (`allow`, or `answered` for a name).
    """

    who: str
    what: str
    by: tuple[str, ...] = ()
    probe: Mapping[str, Any] | None = field(default=None, compare=False)
    answer: str = ""

    def __str__(self) -> str:
        return f"{self.who}: {self.what}" + "".join(f"\n    {origin}" for origin in self.by)


@dataclass(frozen=True)
class Result:
    """One invariant over the whole tree.

    asked: questions answered; row: of docs/requirements.md, if any; vacuous: why there is rightly nothing to ask;
    evidence: the certificate, what makes it hold, in lines that name pods, rules, files and lines; certificates: the
    same class by class, for machines; number: of the nine claims about the network to which it belongs
    (docs/guides/isolation.md), 0 for what these rest on.
    """

    name: str
    claim: str
    asked: int
    broken: tuple[CounterExample, ...]
    row: str = ""
    vacuous: str = ""
    evidence: tuple[str, ...] = ()
    certificates: tuple[SideCertificate, ...] = field(default=(), compare=False)
    number: int = 0
    more: int = 0

    @property
    def found(self) -> int:
        """Counter-examples in all."""
        return len(self.broken) + self.more

    @property
    def bounded(self) -> "Result":
        """The same with at most MOST counter-examples kept, and all counted."""
        if len(self.broken) <= MOST:
            return self
        return replace(self, broken=self.broken[:MOST], more=self.found - MOST)

    @property
    def holds(self) -> bool:
        """An invariant that had nothing to ask shows nothing, unless nothing could break it."""
        return not self.broken and (self.asked > 0 or bool(self.vacuous))

    @property
    def remark(self) -> str:
        """In words, what an answer without questions is worth; empty where there were some."""
        return (
            "" if self.asked else self.vacuous or "asked nothing, which shows nothing; the tree lacks what it is about"
        )


class CounterExamples:
    """Collects the first MOST, and counts the others without making them."""

    def __init__(self) -> None:
        self.first: list[CounterExample] = []
        self.more = 0

    def add(self, make: Callable[[], CounterExample]) -> None:
        if len(self.first) < MOST:
            self.first.append(make())
        else:
            self.more += 1


def origins(rules: Iterable[Rule]) -> tuple[str, ...]:
    """The rules' places, each once."""
    return tuple(dict.fromkeys(str(rule.origin) for rule in rules))
