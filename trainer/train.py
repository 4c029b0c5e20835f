"""Step `train`: prepared data in, adapter out. Stopped or killed at any moment it goes on to the same adapter."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import torch

from trainer.attempt import AttemptFolder
from trainer.contract.bucket import ADAPTER, METRICS, PREPARED
from trainer.contract.recipe import Recipe
from trainer.contract.report import Report, Usage
from trainer.data.batches import Batches
from trainer.data.dataset import Dataset
from trainer.data.packing import pack
from trainer.durability.checkpoint import Checkpoints
from trainer.durability.interruption import watched
from trainer.loop import Plan, Training
from trainer.model import base
from trainer.model.adapter import WEIGHTS, Adapted
from trainer.outcomes import BadInput, Stopped
from trainer.publishing.manifest import Incomplete, verify, write_whole
from trainer.recipes import recipe_of
from trainer.settings import Settings
from trainer.sinks import Sink
from trainer.usage import Meter

_NOT_OF_THE_RESULT = {"checkpoint_steps", "keep_checkpoints"}


def run(settings: Settings, sink: Sink) -> None:
    """Leave `adapter/`, `metrics.jsonl` and the report. Raises Stopped once a checkpoint is saved after a signal."""
    meter = Meter(gpus=torch.cuda.device_count() and 1)
    torch.use_deterministic_algorithms(mode=True, warn_only=torch.cuda.is_available())
    job, recipe, attempt = settings.job, recipe_of(settings.job), AttemptFolder.of(settings)
    sink.begin("train")
    with watched() as interruption:
        dataset, report = prepared(attempt)
        folder = base.fetch(job, settings.work)
        facts = _facts(dataset, base.digest(folder), recipe, seed=job.seed)
        if _is_trained(attempt, report, facts):
            return
        rows = pack(dataset.training, recipe.width)
        model = Adapted(base.load(folder, precision=recipe.precision), recipe, seed=job.seed)
        training = Training(model, Plan.of(recipe, len(rows), seed=job.seed), Batches(rows, job.seed, recipe.epochs))
        checkpoints = Checkpoints(attempt, settings.older_urls, facts["fingerprint"], recipe.keep_checkpoints)
        before, resumed_from = _resumed(training, checkpoints, report.usage)
        save = _saver(training, checkpoints, lambda: {**facts, "usage": meter.added_to(before).model_dump()})
        pace = _Pace(sink, training)
        finished = training.run(interruption, saved=save, told=pace.tell)
        if not finished:
            save()
        checkpoints.finish()
    report = _counted(report, training, resumed_from).model_copy(
        update={"seconds": round(meter.seconds, 3), "tokens_per_second": round(pace.tokens_per_second, 1)}
    )
    if finished:
        write_whole(attempt.local / METRICS, bytes(training.metrics))
        attempt.push_file(METRICS)
        digest = model.save(attempt.local / ADAPTER, facts)
        attempt.push_folder(ADAPTER)
        size = (attempt.local / ADAPTER / WEIGHTS).stat().st_size
        report = report.model_copy(update={"status": "trained", "adapter_digest": digest, "adapter_bytes": size})
    attempt.write_report(report.model_copy(update={"usage": meter.added_to(before)}))
    if not finished:
        text = f"step {training.counters.step} of {training.plan.steps} is saved; start again to go on"
        raise Stopped(f"asked to stop: {text}")


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


def _facts(dataset: Dataset, base_digest: str, recipe: Recipe, *, seed: int) -> dict[str, str]:
    """What identifies the run: two runs with one fingerprint end in one adapter."""
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


def _resumed(training: Training, checkpoints: Checkpoints, prepared_usage: Usage) -> tuple[Usage, int | None]:
    """Go on from the newest checkpoint; what this attempt had used up to there, and its step."""
    found = checkpoints.newest()
    if found is None:
        return prepared_usage, None
    snapshot, is_own = found
    training.restore(snapshot)
    return Usage.model_validate(snapshot.facts["usage"]) if is_own else prepared_usage, snapshot.step


def _saver(training: Training, checkpoints: Checkpoints, facts: Callable[[], dict[str, Any]]) -> Callable[[], None]:
    def save() -> None:
        checkpoints.save(training.snapshot(facts()))

    return save


def _counted(report: Report, training: Training, resumed_from: int | None) -> Report:
    return report.model_copy(
        update={
            "status": "stopped",
            "steps": training.counters.step,
            "tokens": training.counters.tokens,
            "trainable_parameters": sum(weight.numel() for weight in training.model.parameters.values()),
            "total_parameters": training.model.total_parameters,
            "resumed_from": resumed_from,
        }
    )


class _Pace:
    """Tells the sink of each step, with the tokens per second of this run."""

    def __init__(self, sink: Sink, training: Training) -> None:
        self._sink, self._training, self._meter = sink, training, Meter()
        self._tokens_before = training.counters.tokens

    @property
    def tokens_per_second(self) -> float:
        return (self._training.counters.tokens - self._tokens_before) / max(self._meter.seconds, 1e-9)

    def tell(self, line: Mapping[str, Any]) -> None:
        loss = line["loss"]
        metrics = {
            "step": f"{line['step']}/{self._training.plan.steps}",
            "loss": None if loss is None else f"{loss:.3f}",
            "tokensPerSecond": f"{self.tokens_per_second:.0f}",
        }
        self._sink.progress(line["step"], self._training.plan.steps, metrics)
