"""Promotion: a finished job's version into its model record, re-rendered and committed. The only writer of records.

It is given the renderer, because rendering is not of this package. Each refusal is a PromotionError with the remedy.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from app.contract.job import JobState
from app.contract.models import ModelRecord, ModelVersion, Stage
from app.git.plain import PlainRepository
from app.jobs.gate import GateResult, NotPromotable, judge, metrics_of, promoted
from app.store.jobs import Job
from trainer.contract import bucket
from trainer.contract.report import Report
from trainer.contract.summary import summary


class PromotionError(Exception):
    """The promotion cannot be made; the text says why and what to do."""


class GateError(PromotionError):
    """The report does not pass the record's gate."""


class Objects(Protocol):
    """Read access to the tenants' buckets."""

    def read(self, bucket: str, key: str) -> Iterator[bytes]: ...


@dataclass(frozen=True)
class Promotion:
    """What was committed. `commit` is None when the record had the version at that stage already.

    summary: the report as Markdown, for who reviews it.
    """

    tenant: str
    model: str
    version: ModelVersion
    gate: GateResult
    commit: str | None
    base: str
    record_path: str
    summary: str


class Promoter:
    """Its collaborators: the tenants' objects, the clone, how to read a record and how to render."""

    def __init__(
        self,
        *,
        objects: Objects,
        repository: PlainRepository,
        read_record: Callable[[Path], ModelRecord],
        render: Callable[[], object],
    ) -> None:
        self.objects = objects
        self.repository = repository
        self.read_record = read_record
        self.render = render

    def promote(self, job: Job, *, tenant_bucket: str, stage: Stage) -> Promotion:
        """Gate -> record -> render -> commit. Raises PromotionError, GateError or RepositoryError."""
        training = job.envelope.training
        if job.state is not JobState.SUCCEEDED:
            raise PromotionError(f"job {job.id}: is {job.state}; only a job that succeeded has a version to promote")
        path = f"tenants/{job.tenant}/models/{training.model}.yaml"
        file = self.repository.root / path
        if not file.exists():
            text = f"{path}: is not there; add the model record first (`tenon new` writes one with --model)"
            raise PromotionError(text)
        self.repository.require_clean(("tenants", "rendered"))
        base = self.repository.head()
        record = self.read_record(file)
        report, version, attempt = self._evidence(job, tenant_bucket)
        gate = judge(report, record)
        if not gate.passed:
            failed = "; ".join(f"{finding.rule}: {finding.text}" for finding in gate.findings if not finding.passed)
            raise GateError(f"job {job.id}: {path} gate.{failed}")
        try:
            changed = promoted(record, version, stage=stage)
        except NotPromotable as error:
            raise PromotionError(f"{path}: {error}") from None
        if changed != record:
            partial = file.with_suffix(".partial")  # a full disk leaves the record as it was
            partial.write_text(with_versions(file.read_text(encoding="utf-8"), changed.versions), encoding="utf-8")
            partial.replace(file)
            self.render()
        trailers = {"Tenon-Job": job.id, "Tenon-Adapter": f"sha256:{version.adapter_digest}"}
        title = f"Promote {version.version} of {job.tenant} to {stage}"
        commit = self.repository.commit(("tenants", "rendered"), title, trailers)
        text = summary(report, folder=f"s3://{tenant_bucket}/{attempt}")
        return Promotion(job.tenant, training.model, version, gate, commit, base, path, text)

    def _evidence(self, job: Job, tenant_bucket: str) -> tuple[Report, ModelVersion, str]:
        """Report, version and attempt's folder: the manifest is the word on the digest, the report on the numbers."""
        training = job.envelope.training
        folder = bucket.version(training.model, training.version)
        manifest = json.loads(self._read(tenant_bucket, f"{folder}/{bucket.MANIFEST}"))
        attempt = bucket.attempt(job.id, int(manifest["attempt"]))
        report = Report.model_validate_json(self._read(tenant_bucket, f"{attempt}/{bucket.REPORT}"))
        if report.adapter_digest != manifest["adapterDigest"]:
            text = f"job {job.id}: report and manifest name different adapters; run the job again"
            raise PromotionError(text)
        version = ModelVersion(
            version=training.version,
            stage=Stage.CANDIDATE,
            adapter_digest=manifest["adapterDigest"],
            dataset_fingerprint=manifest["datasetFingerprint"],
            metrics=metrics_of(report),
            job=job.id,
            rank=training.hyperparameters.rank,
            trained_at=(job.finished_at or job.created_at).astimezone(UTC).replace(microsecond=0),
        )
        return report, version, attempt

    def _read(self, bucket_name: str, key: str) -> bytes:
        return b"".join(self.objects.read(bucket_name, key))


def with_versions(text: str, versions: Sequence[ModelVersion]) -> str:
    """The record's text with another `versions` block; the head that people write, comments included, is kept."""
    head = re.sub(r"(?ms)^versions:.*?(?=^[^\s-]|\Z)", "", text).rstrip("\n")
    lines = [head, "versions:" if versions else "versions: []"]
    for version in versions:
        fields = version.model_dump(mode="json", by_alias=True, exclude_none=True)
        for index, (key, value) in enumerate(fields.items()):
            shown = value if isinstance(value, datetime) else json.dumps(value)
            lines.append(f"{'- ' if index == 0 else '  '}{key}: {shown}")
    return "\n".join(lines) + "\n"
