"""Step `prepare`: rows in, tokens, masks and a data card out. Imports no torch."""

import hashlib
import json
from pathlib import Path

from trainer import storage
from trainer.attempt import AttemptFolder
from trainer.contract.bucket import PREPARED, PREVIEW
from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Recipe
from trainer.contract.report import Report
from trainer.data import contamination, duplicates
from trainer.data.card import Card, Source
from trainer.data.dataset import Dataset
from trainer.data.masks import FILES, ChatTokenizer
from trainer.data.preparation import File, Files, Preparation
from trainer.data.preview import preview
from trainer.data.progress import Progress
from trainer.data.selection import HELD_OUT_SHARE
from trainer.durability.interruption import watched
from trainer.evaluation.sources import Sources
from trainer.model.shape import config_of, refuse_unusable
from trainer.model.source import fetched
from trainer.outcomes import BadInput
from trainer.publishing.manifest import Incomplete, sha256_of, to_json, write_whole
from trainer.recipes import recipe_of
from trainer.settings import Settings
from trainer.sinks import Sink
from trainer.usage import Run, metered

PIPELINE_VERSION = 3  # raised when the same rows would give other tokens
PREVIEW_ROWS = 3
_ROWS = "rows"  # scratch file


def run(settings: Settings, sink: Sink) -> None:
    """Leave `prepared/` and the first report. Started again on the same data it changes nothing."""
    job, recipe, attempt = settings.job, recipe_of(settings.job), AttemptFolder.of(settings)
    with metered(attempt, "prepare", settings, sink=sink) as usage:
        sink.begin("prepare")
        base = fetched(job, settings.work, only=FILES)
        refuse_unusable(config_of(base), str(base))
        tokenizer = ChatTokenizer(base)
        tokenizer.refuse_width(recipe.width)
        files = _files(job, settings.work)
        found = fingerprint(tokenizer, recipe, job=job, files=files)
        if _already_prepared(attempt, found):
            return
        Sources.of(job.checks, tokenizer, width=recipe.width, work=settings.work)
        with watched() as interruption:
            card = Preparation(
                job=job,
                recipe=recipe,
                tokenizer=tokenizer,
                files=files,
                progress=Progress(sink, interruption),
                scratch=settings.work / _ROWS,
                fingerprint=found,
                version=PIPELINE_VERSION,
            ).write(attempt.local / PREPARED)
        _write_preview(attempt, tokenizer)
        attempt.push_folder(PREPARED)
        attempt.write_report(_report(job, card, usage))


def _write_preview(attempt: AttemptFolder, tokenizer: ChatTokenizer) -> None:
    """So that a wrong mask is seen before the training has cost anything."""
    rows = preview(Dataset.load(attempt.local / PREPARED).training, tokenizer, PREVIEW_ROWS)
    document = {"rows": [row.model_dump(mode="json", by_alias=True) for row in rows]}
    write_whole(attempt.local / PREVIEW, to_json(document).encode())
    attempt.push_file(PREVIEW)


def fingerprint(tokenizer: ChatTokenizer, recipe: Recipe, *, job: TrainingJob, files: Files) -> str:
    """sha256 over all that decides the tokens: the same fingerprint is the same data set."""
    facts = {
        "pipeline": PIPELINE_VERSION,
        "data": files.data.source.sha256,
        "evaluation": (
            files.evaluation.source.sha256 if files.evaluation else {"share": HELD_OUT_SHARE, "seed": job.seed}
        ),
        "tests": [file.source.sha256 for file in files.tests],
        "objective": recipe.objective,
        "width": recipe.width,
        "filters": job.filters.model_dump(mode="json", exclude={"decontaminate"}),
        "runs": [duplicates.RUN, contamination.RUN, contamination.COMMON],
        **tokenizer.facts,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _report(job: TrainingJob, card: Card, usage: Run) -> Report:
    usage.kept()
    return Report(
        status="prepared",
        job=job.job,
        version=job.version,
        rows=card.training.rows,
        evaluation_rows=card.evaluation.rows,
        dropped={
            reason: card.training.dropped.get(reason, 0) + card.evaluation.dropped.get(reason, 0)
            for reason in sorted({*card.training.dropped, *card.evaluation.dropped})
        },
        dataset_fingerprint=card.fingerprint,
        usage=usage.total(),
    )


def _files(job: TrainingJob, work: Path) -> Files:
    """The files of the job, each in a folder of its own, because they may have the same name."""
    tests = (_file(url, work / f"test-{number}") for number, url in enumerate(job.filters.decontaminate))
    evaluation = _file(job.evaluation, work / "evaluation") if job.evaluation else None
    data = _file(job.data, work / "data", most_bytes=job.filters.max_bytes)
    return Files(data, evaluation, tuple(tests))


def _file(url: str, folder: Path, *, most_bytes: int | None = None) -> File:
    path = storage.fetch_file(url, folder, most_bytes=most_bytes)
    return File(path, Source(uri=url, sha256=sha256_of(path), bytes=path.stat().st_size))


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
