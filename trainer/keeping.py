"""What a training leaves on its way: checkpoints, figures for the sinks, the usage record, a sign of life."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from trainer.attempt import AttemptFolder
from trainer.durability.checkpoint import Checkpoints, Snapshot
from trainer.durability.interruption import SaveRequest
from trainer.durability.watchdog import Watchdog
from trainer.loop import Training
from trainer.outcomes import BadInput, Unavailable
from trainer.searching.limit import Limit
from trainer.sinks import Sink
from trainer.usage import Run


@dataclass(frozen=True)
class Part:
    """A training that is one of several of an attempt. attempt: has the prepared data and takes the usage, by `name`.

    limit: what may end it early; on the first rank alone.
    """

    attempt: AttemptFolder
    name: str
    limit: Limit | None


@dataclass
class Kept:
    """The loop's `Keeper`. Every rank has one and calls it alike; the first rank alone writes."""

    training: Training
    checkpoints: Checkpoints
    facts: Mapping[str, Any]
    wish: SaveRequest
    usage: Run
    sink: Sink
    watchdog: Watchdog
    part: Part | None = None
    _began: float = field(default_factory=time.monotonic)
    _last: float = field(default_factory=time.monotonic)
    _tokens_before: int = 0
    _position: int = 0
    _rows: int = 0
    _skipped: int = 0

    def resume(self) -> int | None:
        """Go on from the newest checkpoint; its step, None when there is none."""
        ranks = self.training.ranks
        found = self.checkpoints.newest(shared_only=ranks.nodes > 1) if ranks.is_first else None
        step = ranks.broadcast_int(-1 if found is None else found[0].step)
        if step >= 0:
            with ranks.in_turn():
                snapshot = self._there(step) if found is None else found[0]
            self.training.restore(snapshot)
        counters = self.training.counters
        self._tokens_before, self._position, self._skipped = counters.tokens, counters.position, counters.skipped
        self.usage.resumed(max(step, 0))
        if self.part is not None and self.part.limit is not None:
            self.part.limit.resumed(max(step, 0))
        return None if step < 0 else step

    def save(self, *, best: bool) -> None:
        self.keep(self.training.snapshot(self.facts), best=best)

    def keep(self, snapshot: Snapshot, *, best: bool) -> None:
        """Write a snapshot. Raises Unavailable when the disk refuses."""
        self.alive()
        if self.training.ranks.is_first:
            self.checkpoints.save(snapshot, best=best)
            self.sink.record({"checkpointStep": snapshot.step})
        self.usage.kept(snapshot.step)
        self.alive()

    def finish(self) -> None:
        """Wait for the bucket to have what is kept. Raises Unavailable when it does not get there."""
        if self.training.ranks.is_first:
            self.checkpoints.finish()

    def wants_checkpoint(self) -> bool:
        ranks = self.training.ranks
        return ranks.any(ranks.is_first and self.wish.taken())

    def last(self, step: int) -> Snapshot | None:
        """None when it is nowhere, which is no guess: raises Unavailable when the bucket does not answer."""
        ranks, snapshot = self.training.ranks, None
        if ranks.is_first:
            if ranks.nodes > 1:
                self.checkpoints.finish()  # the other nodes look for it in the bucket
            snapshot = self.checkpoints.at(step)
        if not ranks.broadcast_int(int(snapshot is not None)):
            return None
        with ranks.in_turn():
            return snapshot or self._there(step)

    def _there(self, step: int) -> Snapshot:
        """The checkpoint that the first rank has found. Raises Unavailable when this one does not."""
        snapshot = self.checkpoints.at(step)
        if snapshot is None:
            raise Unavailable(f"checkpoint of step {step}: the first rank has it and this one does not; start again")
        return snapshot

    def go_to_best(self) -> None:
        """The weights of the lowest held-out loss. Raises BadInput when their checkpoint has gone."""
        measured = self.training.counters.measured
        if measured.best_step in {None, self.training.counters.step}:
            return
        snapshot = self.last(measured.best_step or 0)
        if snapshot is None:
            raise BadInput(
                f"checkpoint of step {measured.best_step}, the best one: is gone or torn; remove the other checkpoints"
                " of the job too, so that it begins anew"
            )
        self.training.restore_weights(snapshot)

    def alive(self) -> None:
        self.watchdog.alive(f"step {self.training.counters.step + 1}")

    def is_enough(self) -> bool:
        if self.part is None:
            return False
        limit = self.part.limit
        return self.training.ranks.any(limit is not None and limit.is_reached)

    @property
    def tokens_per_second(self) -> float:
        """Of this run."""
        return (self.training.counters.tokens - self._tokens_before) / max(time.monotonic() - self._began, 1e-9)

    @property
    def rows_per_second(self) -> float:
        """Of this run: rows of the data set, or pairs, however many of them a packed row holds."""
        return self._rows / max(time.monotonic() - self._began, 1e-9)

    def told(self, line: Mapping[str, Any]) -> None:
        """To the sinks, with what no two runs have alike: times and memory."""
        self.alive()
        if self.part is not None and self.part.limit is not None:
            self.part.limit.told(line)
        if "loss" not in line:
            self.sink.record(line)
            return
        now = time.monotonic()
        self.usage.stepped(kept=line["skipped"] == self._skipped)
        self._skipped = line["skipped"]
        self._count_rows()
        speeds = {"tokensPerSecond": self.tokens_per_second, "rowsPerSecond": self.rows_per_second}
        figures = {**speeds, "stepSeconds": now - self._last}
        if torch.cuda.is_available():
            figures["gpuMemoryBytes"] = torch.cuda.max_memory_allocated()
        self.sink.record({**line, **figures})
        self._last = now
        steps, loss = self.training.plan.steps, line["loss"]
        shown = {
            "step": f"{line['step']}/{steps}",
            "loss": None if loss is None else f"{loss:.3f}",
            "tokensPerSecond": f"{self.tokens_per_second:.0f}",
        }
        self.sink.progress(line["step"], steps, shown)

    def _count_rows(self) -> None:
        """Those of the step that is over."""
        batches, position = self.training.batches, self.training.counters.position
        documents = batches.documents(self._position, position)
        self._rows += documents // 2 if self.training.plan.recipe.objective == "dpo" else documents
        self._position = position
