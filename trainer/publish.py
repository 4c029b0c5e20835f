"""Step `publish`: the adapter becomes a model version in the tenant's bucket. No torch, unless exports are asked for.

The version's MANIFEST.json names everything the version came from and is written last. A version is never replaced:
publishing again changes nothing.
"""

import hashlib
import shutil
from pathlib import Path
from typing import Any

from trainer import storage
from trainer.attempt import AttemptFolder
from trainer.contract.bucket import ADAPTER, MANIFEST, PREPARED, REPORT
from trainer.contract.job import TrainingJob
from trainer.contract.report import Report
from trainer.data.card import JSON, Card
from trainer.evaluation.pages import write_pages
from trainer.outcomes import BadInput
from trainer.publishing import manifest
from trainer.publishing.licences import is_non_commercial, needs_reading
from trainer.publishing.manifest import Incomplete, verify
from trainer.publishing.provenance import Made
from trainer.publishing.version import assemble
from trainer.searching.outcome import recipe_trained
from trainer.settings import Settings
from trainer.sinks import Metrics, Sink
from trainer.usage import metered


def run(settings: Settings, sink: Sink) -> None:
    """Leave `models/<model>/<version>/` and tell the watcher the numbers."""
    attempt = AttemptFolder.of(settings)
    sink.begin("publish")
    report = attempt.report()
    if report is None or report.status not in {"evaluated", "published"}:
        raise BadInput(f"{attempt.url or attempt.local}: has no evaluated report; run the step evaluate first")
    if settings.version_url is None:
        raise BadInput("model version: there is no bucket to publish to; run the step with TENON_BUCKET_URL")
    if not _is_there(settings.version_url, report):
        with metered(attempt, "publish", settings, sink=sink) as usage:
            adapter, base_digest = _adapter(attempt)
            licences = _licences(settings.job, base_digest)
            update = {
                "licences": licences,
                "licences_to_read": tuple(of for of, licence in sorted(licences.items()) if needs_reading(licence)),
                "non_commercial": is_non_commercial(licences.values()),
            }
            folder, exports = _exported(settings, attempt, adapter, licence=licences.get("base"))
            usage.kept()
            update |= {"status": "published", "usage": usage.total()}
            report = report.model_copy(update=update)
            made = Made(settings, recipe_trained(settings.job, attempt), report, base_digest, _rows(attempt))
            assemble(folder, made, adapter, exports=exports)
            storage.store_folder(folder, settings.version_url)
    if report.status != "published":  # the version was complete when the last run of this step was killed
        report = _published(settings.version_url)
    attempt.write_report(report)
    write_pages(attempt, report)
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
        "wastedCpuSeconds": report.usage.wasted_cpu_seconds,
        "wastedGpuSeconds": report.usage.wasted_gpu_seconds,
        "energyWattHours": report.usage.energy_wh,
        "storedBytes": report.usage.stored_bytes,
    }


def _is_there(version_url: str, report: Report) -> bool:
    """Whether the version is complete. Raises BadInput when its name has other weights."""
    content = storage.read(f"{version_url}/{MANIFEST}")
    if content is None:
        return False
    found = manifest.parse(content, where=version_url).get("adapterDigest")
    if found != report.adapter_digest:
        raise BadInput(
            f"{version_url}: holds weights with sha256 {found}, this attempt's have {report.adapter_digest}; a version"
            " is never replaced, so start a new job"
        )
    return True


def _published(version_url: str) -> Report:
    """The report as the version carries it."""
    return Report.model_validate_json(storage.read(f"{version_url}/{REPORT}") or b"")


def _adapter(attempt: AttemptFolder) -> tuple[Path, str]:
    """What `train` left, and the digest of the base model it was trained on."""
    try:
        adapter = attempt.pull_folder(ADAPTER)
        return adapter, str(verify(adapter)["baseDigest"])
    except Incomplete as error:
        raise BadInput(f"adapter: {error}; run the step train again") from error


def _rows(attempt: AttemptFolder) -> dict[str, str]:
    """sha256 of the files of rows, from the data card; none where there is no card."""
    content = attempt.read(f"{PREPARED}/{JSON}")
    if content is None:
        return {}
    card = Card.model_validate_json(content)
    sources = {"data": card.data, "evaluation": card.evaluation_data}
    return {of: source.sha256 for of, source in sources.items() if source is not None}


def _licences(job: TrainingJob, base_digest: str) -> dict[str, str]:
    """Of base and data, where they are known: the base's manifest names its own."""
    content = storage.read(f"{job.base}/{MANIFEST}")
    if content is None or hashlib.sha256(content).hexdigest() != base_digest:
        raise BadInput(f"base model: {job.base} is not the folder that the job was trained on; name that one")
    known = {"base": manifest.parse(content, where=job.base).get("licence"), "data": job.data_licence}
    return {of: str(licence) for of, licence in known.items() if licence}


def _exported(
    settings: Settings, attempt: AttemptFolder, adapter: Path, *, licence: str | None
) -> tuple[Path, dict[str, Any]]:
    """A fresh folder of the version with the forms that the job asks for, and what the manifest says of them."""
    folder = settings.work / "version"
    shutil.rmtree(folder, ignore_errors=True)
    if not settings.job.exports:
        return folder, {}
    from trainer.publishing.exports import export  # torch

    return folder, export(settings, attempt, adapter, to=folder, licence=licence)
