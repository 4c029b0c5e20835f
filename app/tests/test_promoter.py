"""Promotion writes one reviewed place: the record of the job's model, in a Git repository."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from app.contract.job import JobEnvelope, JobState
from app.contract.models import ModelRecord, Stage
from app.git.plain import PlainRepository, RepositoryError
from app.promoter import GateError, Promoter, PromotionError, with_versions
from app.store.jobs import Job
from trainer.contract.job import TrainingJob

HEAD = "# people's own comment\nbase: smollm2-135m # kept\nrecipe: smollm2-135m-cpu\ngate: {minLossReduction: 0.2}\n"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DIGEST, FINGERPRINT = "a" * 64, "b" * 64
RECORD = "tenants/acme/models/replies.yaml"


class Folder:
    """A tenant's bucket as the promoter reads it."""

    def __init__(self, **objects: object) -> None:
        self.objects = {key: json.dumps(value).encode() for key, value in objects.items()}

    def read(self, bucket: str, key: str) -> Iterator[bytes]:
        assert bucket == "tenon-acme"
        return iter([self.objects[key]])


def published(*, loss_after: float = 1.0, digest: str = DIGEST) -> Folder:
    report = {"status": "published", "job": "job1", "version": "replies-job1", "adapterDigest": DIGEST}
    report |= {"lossBefore": 2.0, "lossAfter": loss_after, "evaluationRows": 40}  # type: ignore[dict-item]
    manifest = {"attempt": 1, "adapterDigest": digest, "datasetFingerprint": FINGERPRINT}
    return Folder(**{"jobs/job1/1/report.json": report, "models/replies/replies-job1/MANIFEST.json": manifest})


@pytest.fixture
def repository(tmp_path: Path) -> PlainRepository:
    (tmp_path / RECORD).parent.mkdir(parents=True)
    (tmp_path / RECORD).write_text(HEAD)
    (tmp_path / "rendered").mkdir()
    (tmp_path / "rendered" / "x").touch()
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "start"],
    ):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return PlainRepository(tmp_path)


@pytest.fixture
def job() -> Job:
    training = TrainingJob(job="job1", tenant="acme", model="replies", base="b", data="d")
    envelope = JobEnvelope(id="job1", tenant="acme", training=training, request_hash="h", created_at=NOON)
    return Job("job1", "acme", JobState.SUCCEEDED, 3, 1, envelope, None, NOON, NOON, NOON, None, None, {})


def promoter(repository: PlainRepository, objects: Folder) -> Promoter:
    return Promoter(
        objects=objects,
        repository=repository,
        read_record=lambda path: ModelRecord.model_validate(yaml.safe_load(path.read_text())),
        render=lambda: (repository.root / "rendered" / "x").write_text("rendered again"),
    )


@pytest.mark.requirement("E82")
def test_a_promotion_is_one_commit_of_the_record_and_what_it_renders(repository: PlainRepository, job: Job) -> None:
    made = promoter(repository, published()).promote(job, tenant_bucket="tenon-acme", stage=Stage.CANARY)
    assert repository.changes(made.base) == ["M\trendered/x", f"M\t{RECORD}"]
    record = ModelRecord.model_validate(yaml.safe_load((repository.root / RECORD).read_text()))
    assert (canary := record.at(Stage.CANARY)) is not None
    assert (canary.version, canary.adapter_digest, canary.trained_at) == ("replies-job1", DIGEST, NOON)


def test_a_promotion_tells_its_reviewer_the_figures_and_where_the_pages_are(
    repository: PlainRepository, job: Job
) -> None:
    made = promoter(repository, published()).promote(job, tenant_bucket="tenon-acme", stage=Stage.CANARY)
    assert "| Held-out loss | 2.0000 | 1.0000 |" in made.summary
    assert "jobs&#47;job1&#47;1" in made.summary


def test_what_people_wrote_in_the_record_stays_as_it_is(repository: PlainRepository, job: Job) -> None:
    promoter(repository, published()).promote(job, tenant_bucket="tenon-acme", stage=Stage.CANARY)
    assert (repository.root / RECORD).read_text().startswith(HEAD)


def test_promoting_twice_makes_no_second_commit(repository: PlainRepository, job: Job) -> None:
    work = promoter(repository, published())
    work.promote(job, tenant_bucket="tenon-acme", stage=Stage.CANARY)
    assert work.promote(job, tenant_bucket="tenon-acme", stage=Stage.CANARY).commit is None


@pytest.mark.requirement("E82")
def test_a_report_below_the_gate_changes_nothing_and_says_by_how_much(repository: PlainRepository, job: Job) -> None:
    before = repository.head()
    with pytest.raises(GateError, match=r"minLossReduction: .*fell by 10\.0%; at least 20\.0% is needed"):
        promoter(repository, published(loss_after=1.8)).promote(job, tenant_bucket="tenon-acme", stage=Stage.CANARY)
    assert (repository.head(), (repository.root / RECORD).read_text()) == (before, HEAD)


@pytest.mark.parametrize(
    ("state", "match"), [(JobState.RUNNING, "is running; only a job that succeeded"), (JobState.FAILED, "is failed")]
)
def test_only_a_job_that_succeeded_is_promoted(
    repository: PlainRepository, job: Job, state: JobState, match: str
) -> None:
    with pytest.raises(PromotionError, match=match):
        promoter(repository, published()).promote(replace(job, state=state), tenant_bucket="x", stage=Stage.CANARY)


def test_an_adapter_that_is_not_the_reports_is_refused(repository: PlainRepository, job: Job) -> None:
    with pytest.raises(PromotionError, match="name different adapters"):
        promoter(repository, published(digest="c" * 64)).promote(job, tenant_bucket="tenon-acme", stage=Stage.CANARY)


def test_a_missing_record_is_refused_with_the_remedy(repository: PlainRepository, job: Job) -> None:
    (repository.root / RECORD).unlink()
    with pytest.raises(PromotionError, match="add the model record first"):
        promoter(repository, published()).promote(job, tenant_bucket="tenon-acme", stage=Stage.CANARY)


def test_changes_of_others_never_ride_along(repository: PlainRepository, job: Job) -> None:
    (repository.root / RECORD).write_text(HEAD + "# unsaved\n")
    with pytest.raises(RepositoryError, match="changed but not committed"):
        promoter(repository, published()).promote(job, tenant_bucket="tenon-acme", stage=Stage.CANARY)


@pytest.mark.parametrize("block", ["versions: []\n", "versions:\n- version: old\n  stage: retired\n", ""])
def test_the_versions_block_is_replaced_wherever_it_stands(block: str) -> None:
    assert with_versions(f"base: b\n{block}recipe: r\n", []) == "base: b\nrecipe: r\nversions: []\n"
