"""Step `publish`: the adapter becomes a model version in the tenant's bucket. Imports no torch.

The version's MANIFEST.json names everything the version came from and is written last.
Publishing again changes nothing.
"""

import shutil
from pathlib import Path
from typing import Any

from trainer import storage
from trainer.attempt import AttemptFolder
from trainer.contract.bucket import ADAPTER, CARD, REPORT
from trainer.contract.report import Report
from trainer.outcomes import BadInput, Unavailable
from trainer.publishing.card import card
from trainer.publishing.manifest import Incomplete, seal, to_json, verify
from trainer.recipes import recipe_of
from trainer.settings import Settings
from trainer.sinks import Metrics, Sink
from trainer.usage import Meter


def run(settings: Settings, sink: Sink) -> None:
    """Leave `models/<model>/<version>/` and tell the watcher the numbers."""
    meter = Meter()
    attempt = AttemptFolder.of(settings)
    sink.begin("publish")
    report = attempt.report()
    if report is None or report.status not in {"evaluated", "published"}:
        raise BadInput(f"{attempt.url or attempt.local}: has no evaluated report; run the step evaluate first")
    if settings.version_url is None:
        raise BadInput("model version: there is no bucket to publish to; run the step with TENON_BUCKET_URL")
    try:
        adapter = attempt.pull_folder(ADAPTER)
        facts = verify(adapter)
    except Incomplete as error:
        raise BadInput(f"adapter: {error}; run the step train again") from error
    if report.status == "evaluated":
        report = report.model_copy(update={"status": "published", "usage": meter.added_to(report.usage)})
    folder = _assembled(settings, report, adapter, base_digest=str(facts["baseDigest"]))
    storage.store_folder(folder, settings.version_url)
    attempt.write_report(report)
    sink.finish(numbers(report))


def numbers(report: Report) -> Metrics:
    """What the job's row keeps of the report."""
    return {
        "version": report.version,
        "adapterDigest": report.adapter_digest,
        "datasetFingerprint": report.dataset_fingerprint,
        "lossBefore": report.loss_before,
        "lossAfter": report.loss_after,
        "rows": report.rows,
        "evaluationRows": report.evaluation_rows,
        "steps": report.steps,
        "tokens": report.tokens,
        "tokensPerSecond": report.tokens_per_second,
        "cpuSeconds": report.usage.cpu_seconds,
        "gpuSeconds": report.usage.gpu_seconds,
    }


def _assembled(settings: Settings, report: Report, adapter: Path, *, base_digest: str) -> Path:
    """The version as a sealed local folder."""
    job, recipe, folder = settings.job, recipe_of(settings.job), settings.work / "version"
    shutil.rmtree(folder, ignore_errors=True)
    facts: dict[str, Any] = {
        "version": report.version,
        "tenant": job.tenant,
        "model": job.model,
        "job": job.job,
        "attempt": settings.attempt,
        "adapterDigest": report.adapter_digest,
        "baseDigest": base_digest,
        "datasetFingerprint": report.dataset_fingerprint,
        "recipe": {"name": job.recipe, "seed": job.seed, **recipe.model_dump(mode="json", by_alias=True)},
        "metrics": {"lossBefore": report.loss_before, "lossAfter": report.loss_after},
        "traceparent": settings.traceparent,
        "traceId": settings.traceparent.split("-")[1] if settings.traceparent else None,
    }
    try:
        folder.mkdir(parents=True)
        for path in adapter.iterdir():
            shutil.copyfile(path, folder / path.name)
        (folder / CARD).write_text(card(job, recipe, report, base_digest=base_digest), encoding="utf-8")
        (folder / REPORT).write_text(to_json(report.model_dump(mode="json", by_alias=True)), encoding="utf-8")
        seal(folder, facts)
    except OSError as error:
        raise Unavailable(f"{folder}: cannot be written ({error.strerror}); free the disk") from error
    return folder
