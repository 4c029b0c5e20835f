"""A search for hyperparameters: its space, its budget, when a trial ends early. trainer/search.py runs it."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel


class _Choice(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Range(_Choice):
    """From low to high, both included."""

    low: float = Field(gt=0)
    high: float = Field(gt=0)

    @model_validator(mode="after")
    def _rises(self) -> "Range":
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}; swap them")
        return self


class Space(_Choice):
    """What is tried. The learning rate is drawn evenly from its logarithm; an absent field keeps the recipe's value."""

    learning_rate: Range = Range(low=5e-5, high=5e-4)
    rank: tuple[int, ...] | None = Field((8, 16, 32), min_length=1)
    dropout: tuple[float, ...] | None = Field(None, min_length=1)
    batch_rows: tuple[int, ...] | None = Field(None, min_length=1)


class Budget(_Choice):
    """No trial begins that could exceed it. Money is the submitter's formula: the trainer knows a price per hour."""

    trials: int = Field(10, ge=1, le=1000)
    gpu_hours: float | None = Field(None, gt=0, description="of all trials together; on the CPU, hours of ranks")
    cost: Decimal | None = Field(None, gt=0, description="of all trials together, in the currency of costPerHour")
    cost_per_hour: Decimal | None = Field(None, gt=0, description="of one rank")

    @model_validator(mode="after")
    def _money_has_a_price(self) -> "Budget":
        if self.cost is not None and self.cost_per_hour is None:
            raise ValueError("cost is bounded and costPerHour is absent; set it")
        return self


class Pruning(_Choice):
    """Successive halving: at each rung a trial goes on only when it is among the best of those that reached it."""

    min_steps: int = Field(10, ge=1, description="optimizer steps before the first rung")
    reduction: int = Field(3, ge=2, le=10, description="one of this many goes on")


class Search(_Choice):
    """Lowest held-out loss wins. Proposals are drawn from the job's seed, so the same trials give the same search."""

    space: Space = Space()
    budget: Budget = Budget()
    pruning: Pruning | None = Pruning()
    parallel: int = Field(1, ge=1, le=8, description="trials of one round")
