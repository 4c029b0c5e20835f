"""The training loop, top to bottom. Same inputs and same number of threads, same bytes, however often it is stopped.

Bit equality needs one machine type, library versions and `torch.get_num_threads()` alike; the last is saved and set
again on resume.
"""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from trainer.contract.recipe import Recipe
from trainer.data.batches import Batches
from trainer.data.packing import PackedRow
from trainer.durability import guard
from trainer.durability.checkpoint import Snapshot
from trainer.durability.interruption import Interruption
from trainer.model.adapter import Adapted
from trainer.model.loss import summed_loss


@dataclass(frozen=True)
class Counters:
    """How far a training is, at the boundary of two steps. position: rows taken. tokens: of taken rows."""

    step: int = 0
    position: int = 0
    tokens: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0


@dataclass(frozen=True)
class Plan:
    """What is to be done. steps: optimizer steps in all."""

    recipe: Recipe
    steps: int
    seed: int

    @classmethod
    def of(cls, recipe: Recipe, rows: int, *, seed: int) -> "Plan":
        steps = math.ceil(recipe.epochs * rows / recipe.batch_rows)
        return cls(recipe, min(steps, recipe.max_steps or steps), seed)

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then half a cosine down to zero at the end; a function of the step alone."""
        warmup = min(self.recipe.warmup_steps, self.steps - 1)
        if step < warmup:
            return self.recipe.learning_rate * (step + 1) / (warmup + 1)
        done = (step - warmup) / max(self.steps - warmup, 1)
        return self.recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


@dataclass
class Training:
    """A model in training: all its state."""

    model: Adapted
    plan: Plan
    batches: Batches
    counters: Counters = Counters()
    metrics: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        decay = self.plan.recipe.weight_decay
        self.optimizer = torch.optim.AdamW(self.model.parameters.values(), weight_decay=decay, foreach=False)
        self._random = _random_states()

    def run(
        self, interruption: Interruption, *, saved: Callable[[], None], told: Callable[[dict[str, Any]], None]
    ) -> bool:
        """Train to the end, or until asked to stop; returns whether the end was reached.

        saved: called when a checkpoint is due. told: given the line of each step. After an interruption the state is
        that of the last whole step. Raises BadInput when the training diverges.
        """
        self.model.training(mode=True)
        recipe = self.plan.recipe
        while self.counters.step < self.plan.steps:
            self._random = _random_states()
            rows = self.batches.take(recipe.batch_rows)
            labelled = sum(row.labelled for row in rows)
            loss = self._gradients(rows, labelled, interruption)
            if loss is None:
                return False
            told(self._step(rows, loss))
            if self.counters.step % recipe.checkpoint_steps == 0 and self.counters.step < self.plan.steps:
                self._random = _random_states()
                saved()
        return True

    def _gradients(self, rows: list[PackedRow], labelled: int, interruption: Interruption) -> float | None:
        """Mean loss of the global batch, its gradients accumulated; None when interrupted, with none left behind."""
        loss = 0.0
        for row in rows:
            if interruption.requested:
                self.optimizer.zero_grad(set_to_none=True)
                return None
            part = summed_loss(self.model, [row]) / labelled
            part.backward()  # type: ignore[no-untyped-call]
            loss += float(part.detach())
        return loss

    def _step(self, rows: list[PackedRow], loss: float) -> dict[str, Any]:
        before, rate = self.counters, self.plan.learning_rate(self.counters.step)
        health = guard.clipped(self.model.parameters.values(), most=self.plan.recipe.max_grad_norm)
        ok = health.ok and math.isfinite(loss)
        if ok:
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.counters = Counters(
            step=before.step + 1,
            position=self.batches.position,
            tokens=before.tokens + sum(len(row.ids) for row in rows),
            skipped=before.skipped + (not ok),
            skipped_in_a_row=0 if ok else before.skipped_in_a_row + 1,
        )
        line = {
            "step": self.counters.step,
            "loss": loss if math.isfinite(loss) else None,
            "learningRate": rate,
            "gradNorm": health.norm if math.isfinite(health.norm) else None,
            "tokens": self.counters.tokens,
            "skipped": self.counters.skipped,
        }
        self.metrics += (json.dumps(line) + "\n").encode()
        guard.refuse_divergence(self.counters.step, self.counters.skipped_in_a_row)
        return line

    def snapshot(self, facts: dict[str, Any]) -> Snapshot:
        """The state at the last step boundary."""
        tensors = {f"adapter.{name}": parameter.detach() for name, parameter in self.model.parameters.items()}
        for name, parameter in self.model.parameters.items():
            for slot, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{name}.{slot}"] = value
        tensors.update({f"random.{device}": state for device, state in self._random.items()})
        counters = {**asdict(self.counters), "threads": torch.get_num_threads()}
        return Snapshot(self.counters.step, {**facts, **counters}, tensors, bytes(self.metrics))

    @torch.no_grad()
    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot as if there had been no break."""
        torch.set_num_threads(int(snapshot.facts["threads"]))
        names = asdict(self.counters)
        self.counters = replace(self.counters, **{name: snapshot.facts[name] for name in names})
        self.batches.position = self.counters.position
        self.metrics = bytearray(snapshot.metrics)
        for name, parameter in self.model.parameters.items():
            parameter.copy_(snapshot.tensors[f"adapter.{name}"])
            prefix = f"optimizer.{name}."
            slots = {key.removeprefix(prefix): key for key in snapshot.tensors if key.startswith(prefix)}
            self.optimizer.state[parameter] = {
                slot: snapshot.tensors[key].to("cpu" if slot == "step" else parameter.device)
                for slot, key in slots.items()
            }
        _set_random_states(snapshot)


def _random_states() -> dict[str, torch.Tensor]:
    """Dropout draws from torch alone; the order of rows needs no state (data/batches.py)."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _set_random_states(snapshot: Snapshot) -> None:
    torch.set_rng_state(snapshot.tensors["random.cpu"])
    if torch.cuda.is_available() and "random.cuda" in snapshot.tensors:
        torch.cuda.set_rng_state(snapshot.tensors["random.cuda"])
