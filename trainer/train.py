"""Step `train`: prepared data in, adapter out. Stopped or killed at any moment it goes on to the same adapter."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from trainer.announcement import announce
from trainer.attempt import AttemptFolder
from trainer.contract.bucket import ADAPTER, METRICS, PREPARED
from trainer.contract.recipe import Recipe
from trainer.contract.report import Report
from trainer.data.batches import Batches
from trainer.data.dataset import Dataset
from trainer.data.packing import rows_of
from trainer.durability.checkpoint import Checkpoints
from trainer.durability.interruption import Interruption, SaveRequest, or_killed, watched
from trainer.durability.ranks import Ranks, joined, partners
from trainer.durability.watchdog import watching
from trainer.keeping import Kept, Part
from trainer.loop import Training
from trainer.model import base
from trainer.model.gradients import gpu_memory_suffices
from trainer.model.hardware import refuse_absent_hardware
from trainer.model.making import tuned
from trainer.model.sharding import shard
from trainer.model.tuned import Tuned, whole
from trainer.outcomes import BadInput, Killed, Stopped
from trainer.plan import Amount, forecast
from trainer.publishing.manifest import Incomplete, verify, write_whole
from trainer.recipes import recipe_of
from trainer.schedule import Plan
from trainer.settings import Settings
from trainer.sinks import Sink, Sinks
from trainer.usage import Run, metered

# Of a recipe: what changes neither the order of the rows nor what is computed with them, but for rounding. (Not so
# checkpointSteps: after a spike a training goes back to a checkpoint that was due.)
_NOT_OF_THE_RESULT = {
    "activation_checkpointing",
    "compile",
    "gpu_memory_fraction",
    "gpus_per_node",
    "keep_checkpoints",
    "nodes",
    "parallel",
    "stuck_seconds",
}


def run(settings: Settings, sink: Sink) -> None:
    """Leave `adapter/`, `metrics.jsonl` and the report. Raises Stopped once a checkpoint is saved after a signal."""
    train(settings, recipe_of(settings.job), sink, folder=AttemptFolder.of(settings))


def train(settings: Settings, recipe: Recipe, sink: Sink, *, folder: AttemptFolder, part: Part | None = None) -> None:
    """The same below `folder`, by another recipe; part: of an attempt that has several trainings."""
    torch.use_deterministic_algorithms(mode=True, warn_only=torch.cuda.is_available())
    refuse_absent_hardware(recipe)
    with watched() as interruption, joined(os.environ) as ranks:
        _refuse_copies(recipe, ranks)
        told, gpus = sink if ranks.is_first else Sinks(), int(torch.cuda.is_available())
        told.begin("train" if part is None else part.name)
        of, name = (folder, "train") if part is None else (part.attempt, part.name)
        with (
            metered(of, name, settings, sink=told, rank=ranks.rank, gpus=gpus) as usage,
            partners(),
            gpu_memory_suffices(),
        ):
            _Train(settings, recipe, folder, ranks, told, usage, part).run(interruption)


@dataclass(frozen=True)
class _Train:
    """The step, with all that it works with."""

    settings: Settings
    recipe: Recipe
    attempt: AttemptFolder
    ranks: Ranks
    sink: Sink
    usage: Run
    part: Part | None = None

    def run(self, interruption: Interruption) -> None:
        job, ranks = self.settings.job, self.ranks
        with ranks.in_turn():
            dataset, report = self._prepared()
            folder = base.fetch(job, self.settings.work)
            facts = _facts(dataset, base.digest(folder), self.recipe, seed=job.seed)
            if _is_trained(self.attempt, report, facts):
                return
        rows, held_out = rows_of(dataset.training, self.recipe), rows_of(dataset.evaluation, self.recipe)
        if ranks.is_first and self.part is None:
            announce(forecast(job, Amount.of_documents(dataset.training, self.recipe), ranks=ranks.world))
        model = _model(self.settings, self.recipe, ranks)
        plan, batches = Plan.of(self.recipe, len(rows), seed=job.seed), Batches(rows, job.seed, self.recipe.epochs)
        training = Training(model, plan, batches, held_out, ranks)
        older, keep = self.settings.older_urls, self.recipe.keep_checkpoints
        every = self.recipe.checkpoint_steps
        checkpoints = Checkpoints(self.attempt, older, facts["fingerprint"], keep=keep, every=every)
        wish = SaveRequest(self.attempt.local)
        with watching(self.recipe.stuck_seconds) as watchdog:
            kept = Kept(training, checkpoints, facts, wish, self.usage, self.sink, watchdog, self.part)
            resumed_from = kept.resume()
            is_finished = training.run(interruption, kept)
        report = _counted(report, training, resumed_from).model_copy(
            update={
                "seconds": round(self.usage.seconds, 3),
                "tokens_per_second": round(kept.tokens_per_second, 1),
                "rows_per_second": round(kept.rows_per_second, 2),
            }
        )
        if is_finished:
            self._finish(kept, report, facts)
        else:
            self._stop(kept, report)

    def _prepared(self) -> tuple[Dataset, Report]:
        """What to train on, and the report so far."""
        if self.part is None:
            return prepared(self.attempt)
        dataset, report = prepared(self.part.attempt)
        return dataset, self.attempt.report() or report

    def _stop(self, kept: Kept, report: Report) -> None:
        """Raises Stopped when the first rank has saved, else Killed; the same on every rank."""
        training, failure = kept.training, None
        snapshot = training.snapshot(kept.facts)
        try:
            with or_killed():
                kept.keep(snapshot, best=False)
                kept.finish()
                self.usage.write()
        except Killed as error:
            failure = error
        if self.ranks.any(failure is not None):  # all have said what they used, too
            raise failure or Killed("asked to stop, and another rank could not save")
        with or_killed():
            self._write_report(report)
        text = f"step {training.counters.step} of {training.plan.steps} is saved; start again to go on"
        raise Stopped(f"asked to stop: {text}")

    def _finish(self, kept: Kept, report: Report, facts: Mapping[str, Any]) -> None:
        """The adapter, of the best measurement where the training ends with it."""
        training = kept.training
        if self.recipe.patience is not None:
            kept.go_to_best()
        weights = {}
        for name, weight in training.parameters.items():
            gathered = whole(weight)
            if self.ranks.is_first:
                weights[name] = gathered
        kept.finish()
        self.usage.kept(training.counters.step)
        self.usage.write()
        self.ranks.barrier()
        if self.ranks.is_first:
            write_whole(self.attempt.local / METRICS, bytes(training.metrics))
            self.attempt.push_file(METRICS)
            digest = training.model.save(self.attempt.local / ADAPTER, facts, state=weights)
            self.attempt.push_folder(ADAPTER)
            size = sum(path.stat().st_size for path in (self.attempt.local / ADAPTER).glob("*.safetensors"))
            update = {"status": "trained", "adapter_digest": digest, "adapter_bytes": size}
            self._write_report(report.model_copy(update=update))
        self.ranks.barrier()

    def _write_report(self, report: Report) -> None:
        if self.ranks.is_first:
            self.attempt.write_report(report.model_copy(update={"usage": self.usage.total()}))


def prepared(attempt: AttemptFolder) -> tuple[Dataset, Report]:
    """What `prepare` left. Raises BadInput when it has not run."""
    try:
        dataset = Dataset.load(attempt.pull_folder(PREPARED))
    except Incomplete as error:
        raise BadInput(f"prepared data: {error}; run the step prepare first") from error
    report = attempt.report()
    if report is None:
        raise BadInput(f"{attempt.url or attempt.local}: has no report of prepare; run the step prepare first")
    return dataset, report


def _model(settings: Settings, recipe: Recipe, ranks: Ranks) -> Tuned:
    """The model of this rank: whole, or its part of it."""
    is_cut = recipe.parallel == "fsdp2" and ranks.world > 1
    if recipe.gpu_memory_fraction is not None and torch.cuda.device_count():
        torch.cuda.set_per_process_memory_fraction(recipe.gpu_memory_fraction)
    place = torch.device("cpu") if is_cut else None  # the parts move to the GPU, the whole may not fit there
    model = tuned(base.fetch(settings.job, settings.work), recipe, seed=settings.job.seed, device=place)
    if recipe.compile:
        for layer in model.causal.model.layers:  # alike, so that one compilation serves all
            layer.compile()
    if is_cut:
        shard(model.causal, world=ranks.world, method=recipe.method, precision=recipe.precision)
    return model


def _refuse_copies(recipe: Recipe, ranks: Ranks) -> None:
    if ranks.world > 1 and recipe.method == "full" and recipe.parallel != "fsdp2":
        raise BadInput(
            f"recipe: method full with {ranks.world} ranks needs parallel fsdp2 and has {recipe.parallel};"
            " change it, or use one rank"
        )


def _facts(dataset: Dataset, base_digest: str, recipe: Recipe, *, seed: int) -> dict[str, str]:
    """What identifies the run: two runs with one fingerprint and as many ranks end in one adapter."""
    decisive = {
        "data": dataset.facts.fingerprint,
        "base": base_digest,
        "recipe": recipe.model_dump(mode="json", exclude=_NOT_OF_THE_RESULT),
        "seed": seed,
    }
    found = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    return {"fingerprint": found, "baseDigest": base_digest}


def _is_trained(attempt: AttemptFolder, report: Report, facts: Mapping[str, str]) -> bool:
    """Whether this very run has left its adapter. Raises BadInput when another run has."""
    try:
        there = verify(attempt.pull_folder(ADAPTER))
    except Incomplete:
        return False
    if there.get("fingerprint") != facts["fingerprint"]:
        raise BadInput(
            f"{attempt.url or attempt.local}: holds the adapter of another run (base model, data, recipe or seed"
            " differ); give this job a folder of its own"
        )
    return report.status in {"trained", "evaluated", "published"}


def _counted(report: Report, training: Training, resumed_from: int | None) -> Report:
    counters, measured = training.counters, training.counters.measured
    return report.model_copy(
        update={
            "status": "stopped",
            "steps": counters.step,
            "tokens": counters.tokens,
            "computed_tokens": counters.computed_tokens,
            "skipped_steps": counters.skipped,
            "best_step": measured.best_step,
            "stopped_early": training.stopped_early,
            "world_size": training.ranks.world,
            "trainable_parameters": sum(weight.numel() for weight in training.parameters.values()),
            "total_parameters": training.model.total_parameters,
            "resumed_from": resumed_from,
        }
    )
