"""Step `evaluate`: the base model and the tuned one before the same questions; report.json, its pages and picture.

Finished parts are kept (evaluation/partial.json), so that a killed evaluation goes on where it was.
"""

import logging
import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch

from trainer.attempt import AttemptFolder
from trainer.contract.bucket import ADAPTER, METRICS
from trainer.contract.checks import Checks
from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Recipe
from trainer.contract.report import Evaluation, Preference, Report
from trainer.data.dataset import Dataset
from trainer.durability.interruption import watched
from trainer.durability.ranks import Ranks, joined
from trainer.evaluation import judge, results
from trainer.evaluation.examination import Examination, Findings, decisive
from trainer.evaluation.metrics import curve, lines_of
from trainer.evaluation.pace import Pace
from trainer.evaluation.pages import write_pages
from trainer.evaluation.partial import Partial, fingerprint
from trainer.model import base
from trainer.model.making import tuned
from trainer.model.sharding import shard
from trainer.model.tuned import Tuned
from trainer.outcomes import BadInput
from trainer.publishing.manifest import Incomplete, verify
from trainer.searching.outcome import recipe_trained
from trainer.settings import Settings
from trainer.sinks import Sink
from trainer.train import prepared
from trainer.usage import metered

_log = logging.getLogger(__name__)


def run(settings: Settings, sink: Sink) -> None:
    """Add the losses and the evaluation to the report. Raises Killed after a signal; what was measured is kept."""
    torch.use_deterministic_algorithms(mode=True, warn_only=torch.cuda.is_available())
    job, attempt = settings.job, AttemptFolder.of(settings)
    recipe = as_measured(recipe_trained(job, attempt))
    sink.begin("evaluate")
    with joined(os.environ) as ranks, watched() as interruption:
        with ranks.in_turn():
            dataset, report = prepared(attempt)
            adapter = _adapter(attempt)
            folder = base.fetch(job, settings.work)
            kept = Partial(attempt, _decisive(job, dataset, adapter), writes=ranks.is_first)
        choices = fingerprint(job.checks.model_dump(mode="json"))
        if _is_answered(report, kept, choices):
            return
        with metered(
            attempt, "evaluate", settings, sink=sink, rank=ranks.rank, gpus=int(torch.cuda.is_available())
        ) as used:
            examination = Examination.of(job, recipe, dataset, base=folder, work=settings.work)
            pace = Pace(sink, interruption, ranks, total=2 * examination.forwards(ranks.world))
            model = made(folder, recipe, seed=job.seed, ranks=ranks)
            before, after = both(examination, model, adapter, kept=kept, pace=pace)
            if ranks.is_first:
                found = results.evaluation(examination, before, after)
                found = found.model_copy(update={"curve": curve(lines_of(attempt.read(METRICS) or b""))})
                pairs = results.pairs(examination, before, after)
                found = _judged(found, job.checks, pairs, key=settings.judge_key, kept=kept, pace=pace)
            used.kept()
            used.write()
            ranks.barrier()
            if ranks.is_first:
                report = _with(report.model_copy(update={"usage": used.total()}), found)
                write_pages(attempt, report)
                attempt.write_report(report)
                kept.report(choices)
                sink.record(_numbers(report, found))


def as_measured(recipe: Recipe) -> Recipe:
    """How the recipe's model is measured: nothing of it decides the figures but the weights and their precision."""
    return recipe.model_copy(update={"attention": "sdpa", "activation_checkpointing": False, "compile": False})


def made(folder: Path, recipe: Recipe, *, seed: int, ranks: Ranks) -> Tuned:
    """The model before it takes the tuned weights; cut over the ranks where the recipe says so."""
    if recipe.parallel != "fsdp2" or ranks.world == 1:
        return tuned(folder, recipe, seed=seed)
    model = tuned(folder, recipe, seed=seed, device=torch.device("cpu"))
    shard(model.causal, world=ranks.world, method=recipe.method, precision=recipe.precision)
    return model


def both(
    examination: Examination, model: Tuned, adapter: Path, *, kept: Partial, pace: Pace
) -> tuple[Findings, Findings]:
    """Findings of the base model and of the tuned one. All weights of method `full` are the base's until they load."""
    alone = nullcontext() if examination.recipe.method == "full" else model.without()
    with alone:
        before = examination.found(model, "before", kept=kept, pace=pace)
    model.load(adapter)
    return before, examination.found(model, "after", kept=kept, pace=pace)


def _is_answered(report: Report, kept: Partial, choices: str) -> bool:
    """Whether the report is of these choices; raises BadInput when it is published, of others."""
    if report.status == "published" and not kept.is_reported(choices):
        raise BadInput("checks: differ from those of the published version; give this job a folder of its own")
    return report.status in {"evaluated", "published"} and kept.is_reported(choices)


def _adapter(attempt: AttemptFolder) -> Path:
    try:
        return attempt.pull_folder(ADAPTER)
    except Incomplete as error:
        raise BadInput(f"adapter: {error}; run the step train first") from error


def _decisive(job: TrainingJob, dataset: Dataset, adapter: Path) -> str:
    run = verify(adapter)
    facts = {"run": run.get("fingerprint"), "files": run["files"], "data": dataset.facts.fingerprint, "seed": job.seed}
    return fingerprint({**facts, "checks": decisive(job.checks)})


def _judged(
    found: Evaluation, checks: Checks, pairs: Sequence[judge.Pair], *, key: Path | None, kept: Partial, pace: Pace
) -> Evaluation:
    """With the judge's preference; a judge that does not answer costs its figure and nothing else."""
    asked = checks.judge
    if asked is None or not pairs:
        return found

    def ask() -> object:
        return judge.preference(asked, pairs, key=key, asked=pace.alone).model_dump(mode="json")

    try:
        preference = Preference.model_validate(kept.once(f"judge {asked.url} {asked.model}", ask))
    except judge.JudgeSilent as error:
        _log.warning("%s; the report says nothing of its preference", error)
        return found.model_copy(update={"absent": {"judge": str(error)}})
    return found.model_copy(update={"judge": preference})


def _with(report: Report, found: Evaluation) -> Report:
    loss = found.loss
    assert loss is not None  # noqa: S101 - every evaluation has one
    losses = {"loss_before": loss.before.value, "loss_after": loss.after.value}
    return report.model_copy(update={"status": "evaluated", "evaluation": found, **losses})


def _numbers(report: Report, found: Evaluation) -> dict[str, float]:
    """What charts show of the tuned model."""
    scores = {name: score.after.value for name, score in found.scores.items()}
    return {"step": report.steps, "evalLoss": report.loss_after or 0.0, **scores}
