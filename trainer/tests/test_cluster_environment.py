import json
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from trainer import fetch, objects
from trainer.contract import steps
from trainer.contract.bucket import MANIFEST
from trainer.contract.job import TrainingJob
from trainer.contract.steps import Exit
from trainer.settings import Settings

WEIGHTS = b"weights"
DIGEST = sha256(WEIGHTS).hexdigest()


@pytest.fixture
def published(tmp_path: Path) -> Path:
    file = tmp_path / "version" / fetch.WEIGHTS
    file.parent.mkdir(parents=True)
    file.write_bytes(WEIGHTS)
    files = {fetch.WEIGHTS: {"sha256": DIGEST, "bytes": len(WEIGHTS)}}
    (tmp_path / "version" / MANIFEST).write_text(json.dumps({"files": files}))
    return tmp_path / "version"


def fetched(monkeypatch: pytest.MonkeyPatch, *words: object) -> Exit:
    monkeypatch.setattr(sys, "argv", ["trainer.fetch", *map(str, words)])
    return fetch.main()


def test_a_server_gets_a_version_whose_weights_git_states(monkeypatch: pytest.MonkeyPatch, published: Path) -> None:
    assert fetched(monkeypatch, published, published, "--adapter", DIGEST) is Exit.DONE


@pytest.mark.parametrize("option", ["--adapter", "--manifest"])
def test_other_weights_than_git_states_are_refused(
    monkeypatch: pytest.MonkeyPatch, published: Path, option: str
) -> None:
    assert fetched(monkeypatch, published, published, option, "0" * 64) is Exit.BAD_INPUT


def test_a_folder_without_its_manifest_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert fetched(monkeypatch, tmp_path, tmp_path) is Exit.BAD_INPUT


def test_the_models_bucket_may_have_an_endpoint_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(steps.S3_URL, "http://own.example")
    monkeypatch.setenv(steps.MODELS_URL, "s3://tenon-models")
    assert objects.endpoint("tenon-models") == "http://own.example"
    monkeypatch.setenv(steps.MODELS_S3_URL, "http://models.example")
    assert objects.endpoint("tenon-models") == "http://models.example"
    assert objects.endpoint("tenon-acme") == "http://own.example"


def test_a_step_puts_its_job_and_attempt_into_the_status_url() -> None:
    job = TrainingJob(job="j1", base="s3://b/x", data="s3://b/y")
    given = {
        steps.JOB: job.to_parameter(),
        steps.ATTEMPT: "2",
        steps.BUCKET_URL: "s3://b",
        steps.STATUS_URL: "http://watcher/jobs/{job}/attempts/{attempt}/status",
    }
    assert Settings.from_environment(given).status_url == "http://watcher/jobs/j1/attempts/2/status"
