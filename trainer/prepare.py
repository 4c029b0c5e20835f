"""Step `prepare`: rows in, tokens and masks out. Imports no torch."""

import hashlib
import json
import re
from pathlib import Path

from trainer import storage
from trainer.attempt import AttemptFolder
from trainer.contract.bucket import PREPARED
from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Recipe
from trainer.contract.report import Report, Usage
from trainer.data import duplicates, filters
from trainer.data.dataset import Dataset, Facts
from trainer.data.formats import Row, read_rows
from trainer.data.masks import FILES, ChatTokenizer
from trainer.outcomes import BadInput
from trainer.publishing.manifest import Incomplete, sha256_of
from trainer.recipes import recipe_of
from trainer.settings import Settings
from trainer.sinks import Sink
from trainer.usage import Meter

PIPELINE_VERSION = 1  # raised when the same rows would give other tokens
HELD_OUT_SHARE = 0.1  # of the rows, when no evaluation file is given


def run(settings: Settings, sink: Sink) -> None:
    """Leave `prepared/` and the first report. Started again on the same data it changes nothing."""
    meter = Meter()
    job, recipe, attempt = settings.job, recipe_of(settings.job), AttemptFolder.of(settings)
    sink.begin("prepare")
    tokenizer = ChatTokenizer(_tokenizer_files(job, settings.work))
    data = storage.fetch_file(job.data, settings.work / "data")
    held_out = storage.fetch_file(job.evaluation, settings.work / "evaluation") if job.evaluation else None
    found = fingerprint(tokenizer, recipe, data=data, evaluation=held_out, seed=job.seed)
    if _already_prepared(attempt, found):
        return
    dataset = prepared(job, tokenizer, recipe, data=data, held_out=held_out, fingerprint=found)
    dataset.save(attempt.local / PREPARED)
    attempt.push_folder(PREPARED)
    attempt.write_report(
        Report(
            status="prepared",
            job=job.job,
            version=job.version,
            rows=len(dataset.training),
            evaluation_rows=len(dataset.evaluation),
            dropped=dict(dataset.facts.dropped),
            dataset_fingerprint=found,
            usage=meter.added_to(Usage()),
        )
    )


def prepared(
    job: TrainingJob, tokenizer: ChatTokenizer, recipe: Recipe, *, data: Path, held_out: Path | None, fingerprint: str
) -> Dataset:
    """The data set of a job. Raises BadInput when a row is bad, none is left, or a held-out row was trained on."""
    training = read_rows(data, shown_as=job.data)
    if held_out is not None and job.evaluation is not None:
        evaluation = read_rows(held_out, shown_as=job.evaluation)
        duplicates.refuse_leaks(training, evaluation, shown_as=job.evaluation)
    else:
        training, evaluation = duplicates.split(training, share=HELD_OUT_SHARE, seed=job.seed)
    kept = _usable(training, tokenizer, recipe, shown_as=job.data)
    held = _usable(evaluation, tokenizer, recipe, shown_as=job.evaluation or f"{job.data} (held-out part)")
    facts = Facts(fingerprint=fingerprint, dropped=dict(kept.dropped + held.dropped))
    return Dataset(facts, kept.documents, held.documents)


def fingerprint(tokenizer: ChatTokenizer, recipe: Recipe, *, data: Path, evaluation: Path | None, seed: int) -> str:
    """sha256 over all that decides the tokens: the same fingerprint is the same data set."""
    facts = {
        "pipeline": PIPELINE_VERSION,
        "data": sha256_of(data),
        "evaluation": sha256_of(evaluation) if evaluation else {"share": HELD_OUT_SHARE, "seed": seed},
        "width": recipe.width,
        "near": [duplicates.NEAR, duplicates.GRAM],
        **tokenizer.facts,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _usable(rows: list[Row], tokenizer: ChatTokenizer, recipe: Recipe, *, shown_as: str) -> filters.Kept:
    try:
        kept = filters.usable(rows, tokenizer, width=recipe.width)
    except BadInput as error:
        named = re.sub(r"^line (\d+)", rf"{re.escape(shown_as)}:\1", str(error))
        raise BadInput(named) from error
    if not kept.documents:
        reasons = ", ".join(f"{number} {reason}" for reason, number in kept.dropped.items())
        raise BadInput(f"{shown_as}: 0 usable rows of {len(rows)} ({reasons}; width is {recipe.width}); give others")
    return kept


def _tokenizer_files(job: TrainingJob, work: Path) -> Path:
    try:
        return storage.fetch_folder(job.base, work / "base", digest=job.base_digest, only=FILES)
    except Incomplete as error:
        raise BadInput(f"base model: {error}; name a folder of the catalogue") from error


def _already_prepared(attempt: AttemptFolder, found: str) -> bool:
    try:
        there = Dataset.load(attempt.pull_folder(PREPARED)).facts.fingerprint
    except Incomplete:
        return False
    if there != found:
        raise BadInput(
            f"{attempt.url or attempt.local}: holds the data set {there[:12]}, this job's is {found[:12]};"
            " give each job a folder of its own"
        )
    return attempt.report() is not None
