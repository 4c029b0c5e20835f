"""An attempt as `prepare` and `train` leave it, made in a second: prepared rows, an adapter that has learned."""

from pathlib import Path
from typing import Any

import torch

from trainer.contract.bucket import ADAPTER, METRICS, PREPARED, REPORT
from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Recipe
from trainer.contract.report import Report
from trainer.data.dataset import Dataset, Facts
from trainer.data.formats import row_of
from trainer.data.masks import ChatTokenizer, Document
from trainer.data.packing import rows_of
from trainer.model.loss import summed_loss
from trainer.model.making import tuned
from trainer.model.tuned import Tuned
from trainer.tests import toy

FINGERPRINT = "f" * 64


def documents(base: Path, rows: list[dict[str, Any]]) -> list[Document]:
    tokenizer = ChatTokenizer(base)
    return [tokenizer.document(row_of(row, line)) for line, row in enumerate(rows, start=1)]


def leave_attempt(folder: Path, job: TrainingJob, recipe: Recipe, *, steps: int = 8, held_out: int = 6) -> None:
    """`prepared/`, `adapter/`, `metrics.jsonl` and the report of a training of the toy."""
    parts = [documents(Path(job.base), rows) for rows in (toy.rows(8), toy.rows(held_out, first=100))]
    Dataset(Facts(fingerprint=FINGERPRINT, dropped={}), *parts).save(folder / PREPARED)
    model = tuned(Path(job.base), recipe, seed=job.seed)
    _train(model, parts[0], recipe, steps)
    digest = model.save(folder / ADAPTER, {"baseDigest": "b" * 64, "fingerprint": "run"})
    lines = [f'{{"step": {step}, "loss": {3 / (step + 1)}, "learningRate": 0.01}}' for step in range(1, steps + 1)]
    (folder / METRICS).write_text("\n".join(lines))
    trained = report(job, adapter_digest=digest, rows=8, evaluation_rows=held_out)
    (folder / REPORT).write_text(trained.model_dump_json(by_alias=True))


def report(job: TrainingJob, **figures: Any) -> Report:
    return Report(status="trained", job=job.job, version=job.version, dataset_fingerprint=FINGERPRINT, **figures)


def _train(model: Tuned, rows: list[Document], recipe: Recipe, steps: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters.values(), lr=0.01)
    for _ in range(steps):
        for row in rows_of(rows, recipe):
            (summed_loss(model, [row]) / row.labelled).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
