"""How many steps a training has, and the learning rate of each."""

import math
from dataclasses import dataclass

from trainer.contract.recipe import Recipe


def steps_of(recipe: Recipe, rows: int) -> int:
    """Optimizer steps of all epochs over so many rows."""
    steps = math.ceil(recipe.epochs * rows / recipe.batch_rows)
    return min(steps, recipe.max_steps or steps)


@dataclass(frozen=True)
class Plan:
    """What is to be done. steps: optimizer steps in all."""

    recipe: Recipe
    steps: int
    seed: int

    @classmethod
    def of(cls, recipe: Recipe, rows: int, *, seed: int) -> "Plan":
        return cls(recipe, steps_of(recipe, rows), seed)

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then the recipe's schedule down to zero at the end; a function of the step alone."""
        warmup = min(self.recipe.warmup_steps, self.steps - 1)
        if step < warmup:
            return self.recipe.learning_rate * (step + 1) / (warmup + 1)
        done = (step - warmup) / max(self.steps - warmup, 1)
        shape = {"cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done, "constant": 1.0}
        return self.recipe.learning_rate * shape[self.recipe.schedule]
