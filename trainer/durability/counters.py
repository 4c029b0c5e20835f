"""How far a training is: all of its state that is no tensor, as JSON in its checkpoints."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from trainer.durability.guard import Trend
from trainer.model.precision import LossScale


@dataclass(frozen=True)
class Measured:
    """Held-out losses so far. step: of the last one. worse: measurements since the best one."""

    step: int = 0
    best_step: int | None = None
    best_loss: float | None = None
    worse: int = 0

    def after(self, step: int, loss: float) -> "Measured":
        """A loss that is no number is never the best."""
        if loss < (float("inf") if self.best_loss is None else self.best_loss):
            return Measured(step, step, loss, 0)
        return Measured(step, self.best_step, self.best_loss, self.worse + 1)

    @property
    def is_best(self) -> bool:
        return self.best_step == self.step


@dataclass(frozen=True)
class Counters:
    """At the boundary of two steps. position: rows taken, whoever computed them. tokens: of them, padding apart.

    micro_rows: rows that go through the model at once; fewer than the recipe's after memory ran out.
    """

    micro_rows: int
    scale: LossScale
    step: int = 0
    position: int = 0
    tokens: int = 0
    computed_tokens: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    rewinds: int = 0
    trend: Trend = field(default_factory=Trend)
    measured: Measured = field(default_factory=Measured)

    def to_facts(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Counters":
        """Raises KeyError when one is missing."""
        plain = {name: facts[name] for name in cls.__dataclass_fields__}
        nested = {"scale": LossScale, "trend": Trend, "measured": Measured}
        return cls(**plain | {name: kind(**facts[name]) for name, kind in nested.items()})
