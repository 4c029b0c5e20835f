"""The training loop, top to bottom. Same inputs and same number of threads, same bytes, however often it is stopped.

A global batch is the next `batchRows` rows in an order that the seed decides. Ranks share it in micro-steps; its loss
is divided by the units (labelled tokens, or pairs) of all of it, so that neither ranks nor micro-steps show in the
result. Bit equality needs one machine type, library versions, world size and `torch.get_num_threads()` alike; the last
is saved and set again on resume.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

from trainer.data.batches import Batches, MicroStep, dealt
from trainer.data.packing import PackedRow
from trainer.durability import guard
from trainer.durability.checkpoint import Snapshot
from trainer.durability.counters import Counters
from trainer.durability.interruption import Interruption
from trainer.durability.keeper import Keeper
from trainer.durability.ranks import ONE_RANK, Ranks
from trainer.model.gradients import out_of_memory, scaled, summed_over
from trainer.model.objective import objective_of
from trainer.model.optimizers import optimizer, put_slots, slots
from trainer.model.precision import LossScale, computing
from trainer.model.sharding import is_sharded
from trainer.model.tuned import Tuned, whole
from trainer.schedule import Plan

# What a rank has to say before a micro-step; all do what the greatest says.
_GO, _STOP, _OUT_OF_MEMORY = 0, 1, 2
Each = Callable[[MicroStep], torch.Tensor | None]  # the figures' sums over a micro-step, [names]; None: nothing to add
Sums = list[float] | None


@dataclass
class Training:
    """A model in training: all its state. held_out: rows that measure it on the way."""

    model: Tuned
    plan: Plan
    batches: Batches
    held_out: Sequence[PackedRow] = ()
    ranks: Ranks = ONE_RANK
    metrics: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        recipe = self.plan.recipe
        self.parameters = self.model.parameters
        self.optimizer = optimizer(self.parameters, recipe)
        self.objective = objective_of(recipe)
        self.counters = Counters(micro_rows=recipe.micro_rows, scale=LossScale.of(recipe.precision))
        self._device = next(iter(self.parameters.values())).device
        self._is_saved = True

    def run(self, interruption: Interruption, keeper: Keeper) -> bool:
        """Train to the end, or until asked to stop; returns whether the end was reached.

        After an interruption the state is that of the last whole step. Raises BadInput when the training diverges.
        """
        self.model.training(mode=True)
        while True:
            if self._is_measurement_due and not self._measure(interruption, keeper):
                return False
            if self.is_over or keeper.is_enough():
                return True
            is_best = self.counters.measured.step == self.counters.step and self.counters.measured.is_best
            is_due = self.counters.step % self.plan.recipe.checkpoint_steps == 0
            # A checkpoint that was saved before its measurement was over is now called the best.
            if is_best or (not self._is_saved and (is_due or keeper.wants_checkpoint())):
                keeper.save(best=is_best)
                self._is_saved = True
            if not self._step(interruption, keeper):
                return False

    @property
    def is_over(self) -> bool:
        """All steps are done, the rows are used up, or the held-out loss has stopped falling."""
        return self._is_last_step or self.stopped_early

    @property
    def stopped_early(self) -> bool:
        patience = self.plan.recipe.patience
        return patience is not None and self.counters.measured.worse >= patience

    @property
    def _is_last_step(self) -> bool:
        return self.counters.step >= self.plan.steps or self.batches.are_used_up

    @property
    def _is_measurement_due(self) -> bool:
        every, step = self.plan.recipe.evaluate_steps, self.counters.step
        if every is None or not self.held_out or self.counters.measured.step == step:
            return False
        return step % every == 0 or self._is_last_step

    # One optimizer step --------------------------------------------------------------------------------------------

    def _step(self, interruption: Interruption, keeper: Keeper) -> bool:
        """One global batch; False when asked to stop, which leaves everything as it was before it."""
        before, recipe = self.counters, self.plan.recipe
        rows = self.batches.take(recipe.batch_rows)
        figures = self._gradients(rows, interruption)
        if figures is None:
            self.batches.position = before.position
            return False
        loss, rate = figures[0], self.plan.learning_rate(before.step)
        norm = guard.clipped(self.parameters.values(), most=recipe.max_grad_norm)
        is_finite, is_spike = math.isfinite(loss) and math.isfinite(norm), loss > before.trend.limit
        if is_taken := is_finite and not is_spike:
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        went_back_to = self._rewind(keeper) if is_finite and is_spike else None
        overflowed = math.isfinite(loss) and not is_finite and before.scale.may_fall
        self.counters = replace(
            self.counters,  # memory may have run out since `before`
            scale=before.scale.after(overflowed=overflowed),
            step=before.step + 1,
            position=self.batches.position,
            tokens=before.tokens + sum(len(row.ids) for row in rows),
            computed_tokens=before.computed_tokens + self._computed_tokens(rows),
            skipped=before.skipped + (before.step - went_back_to if went_back_to else 0) + (not is_taken),
            skipped_in_a_row=0 if is_taken or went_back_to else before.skipped_in_a_row + (not overflowed),
            trend=self.counters.trend.after(loss),
        )
        self._is_saved = False
        figures_of_step = {
            **dict(zip(self.objective.names, figures, strict=True)),
            "learningRate": rate,
            "gradNorm": norm,
            "tokens": self.counters.tokens,
            "skipped": self.counters.skipped,
        }
        self._tell(keeper, figures_of_step if went_back_to is None else {**figures_of_step, "wentBackTo": went_back_to})
        guard.refuse_divergence(self.counters.step, self.counters.skipped_in_a_row)
        return True

    def _gradients(self, rows: Sequence[PackedRow], interruption: Interruption) -> list[float] | None:
        """The objective's figures of a global batch, its gradients accumulated; None when asked to stop."""
        units, scale = sum(self.objective.units(row) for row in rows), self.counters.scale.value

        def learned(micro_step: MicroStep) -> torch.Tensor | None:
            torch.manual_seed(micro_step.random_seed(self.plan.seed))  # of dropout, the only thing drawn in training
            figures = self._figures(micro_step)
            if figures is None:
                return None
            (figures[0] * (scale / units)).backward()  # type: ignore[no-untyped-call]
            return figures.detach()

        sums = self._summed(rows, learned, interruption, first=self.counters.position)
        if sums is None:
            return None
        if not is_sharded(self.model.causal):
            summed_over(self.ranks, self.parameters.values())
        scaled(self.parameters.values(), by=1 / scale)
        return [figure / units for figure in sums]

    def _summed(self, rows: Sequence[PackedRow], each: Each, interruption: Interruption, *, first: int) -> Sums:
        """What `each` micro-step yields, summed over all of them and all ranks; None when asked to stop.

        Where memory runs out the same rows come again, in smaller pieces.
        """
        while True:
            signal, sums = self._micro_steps(self._shared(rows, first=first), each, interruption)
            if signal == _GO:
                return [float(figure) for figure in self.ranks.sum(sums).tolist()]
            self.optimizer.zero_grad(set_to_none=True)
            if signal == _STOP:
                return None
            narrower = guard.fewer_rows(self.counters.micro_rows, at_first=self.plan.recipe.micro_rows)
            self.counters = replace(self.counters, micro_rows=narrower)

    def _micro_steps(
        self, share: Iterator[MicroStep], each: Each, interruption: Interruption
    ) -> tuple[int, torch.Tensor]:
        """This rank's share. The ranks agree before each micro-step, so that none waits for one that has left."""
        sums = torch.zeros(len(self.objective.names), dtype=torch.float64, device=self._device)
        signal = _GO
        for micro_step in share:
            signal = self.ranks.most(max(signal, _STOP if interruption.requested else _GO))
            if signal != _GO:
                return signal, sums
            try:
                figures = each(micro_step)
                if figures is not None:
                    sums += figures
            except torch.OutOfMemoryError as error:
                out_of_memory(self.model.causal, error)
                signal = _OUT_OF_MEMORY
        return self.ranks.most(signal), sums

    def _shared(self, rows: Sequence[PackedRow], *, first: int) -> Iterator[MicroStep]:
        return dealt(rows, first, size=self.counters.micro_rows, rank=self.ranks.rank, world=self.ranks.world)

    def _figures(self, micro_step: MicroStep) -> torch.Tensor | None:
        """Sums over a micro-step, [names]; None when this rank has no rows left and nobody needs it.

        Where weights are sharded the others do need it: it computes a row and counts it for nothing.
        """
        with computing(self.plan.recipe.precision, self._device):
            if micro_step.rows:
                return self.objective.sums(self.model, micro_step.rows)
            if is_sharded(self.model.causal):
                return self.objective.sums(self.model, [self.batches.rows[0]]) * 0
        return None

    def _computed_tokens(self, rows: Sequence[PackedRow]) -> int:
        size = self.counters.micro_rows
        micro_steps = [rows[start : start + size] for start in range(0, len(rows), size)]
        return sum(len(step) * max(len(row.ids) for row in step) for step in micro_steps)

    def _rewind(self, keeper: Keeper) -> int | None:
        """After a spike: the weights and moments of the last checkpoint that was due; its step, None without any.

        Steps and rows count on, so the rows since that checkpoint are left out: it is they that led to the spike.
        """
        recipe, before = self.plan.recipe, self.counters
        due = before.step - before.step % recipe.checkpoint_steps
        if due == 0 or before.rewinds >= guard.MOST_REWINDS or (snapshot := keeper.last(due)) is None:
            return None  # one of step 0 is there only after a stop, and is to change nothing
        self._restore_tensors(snapshot)
        then = Counters.from_facts(snapshot.facts)
        self.counters = replace(before, rewinds=before.rewinds + 1, trend=then.trend)
        return due

    # Held-out loss -------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def _measure(self, interruption: Interruption, keeper: Keeper) -> bool:
        """The figures over the held-out rows; False when asked to stop, with nothing measured."""
        self.model.training(mode=False)

        def measured(micro_step: MicroStep) -> torch.Tensor | None:
            keeper.alive()
            return self._figures(micro_step)

        sums = self._summed(self.held_out, measured, interruption, first=0)
        if sums is None:
            return False
        self.model.training(mode=True)
        means = [figure / self._held_out_units for figure in sums]
        self.counters = replace(self.counters, measured=self.counters.measured.after(self.counters.step, means[0]))
        names = [f"eval{name[0].upper()}{name[1:]}" for name in self.objective.names]
        self._tell(keeper, dict(zip(names, means, strict=True)))
        return True

    @cached_property
    def _held_out_units(self) -> int:
        return sum(self.objective.units(row) for row in self.held_out)

    def _tell(self, keeper: Keeper, figures: Mapping[str, Any]) -> None:
        """One line of metrics.jsonl; a figure that is no number is null."""
        line = {"step": self.counters.step, **figures}
        line = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in line.items()
        }
        self.metrics += (json.dumps(line) + "\n").encode()
        keeper.told(line)

    # To a checkpoint and back --------------------------------------------------------------------------------------

    def snapshot(self, facts: Mapping[str, Any]) -> Snapshot:
        """The state at the last step boundary, whole on the first rank, whatever each rank holds; all must call it."""
        tensors: dict[str, torch.Tensor] = {}
        for name, weight in self.parameters.items():
            states = slots(self.optimizer, {name: weight})
            parts = {f"adapter.{name}": whole(weight)} | {f"optimizer.{slot}": value for slot, value in states.items()}
            if self.ranks.is_first:
                tensors |= parts
        counted = {**self.counters.to_facts(), "threads": torch.get_num_threads()}
        return Snapshot(self.counters.step, {**facts, **counted}, tensors, bytes(self.metrics))

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot as if there had been no break, whichever number of ranks took it."""
        torch.set_num_threads(int(snapshot.facts["threads"]))
        self.counters = Counters.from_facts(snapshot.facts)
        self.batches.position = self.counters.position
        self.metrics = bytearray(snapshot.metrics)
        self._restore_tensors(snapshot)
        self._is_saved = True

    def _restore_tensors(self, snapshot: Snapshot) -> None:
        self.restore_weights(snapshot)
        put_slots(self.optimizer, self.parameters, snapshot.below("optimizer."))

    def restore_weights(self, snapshot: Snapshot) -> None:
        """The trained weights of a snapshot alone."""
        self.model.load_state(snapshot.below("adapter."))
