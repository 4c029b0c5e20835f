"""The whole job path as a user meets it: `tenon up`, the README's own lines, kills, one trace, one promotion."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from openai import OpenAI

ROOT = Path(__file__).parent.parent.parent
STARTED_SECONDS = 180
JOB_SECONDS = 400
SHORT = {"maxSteps": 4}

pytestmark = pytest.mark.model


class JobPath:
    """A running `tenon up` over a clone of this repository."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.options = options
        self.root, self.home, self.log = folder / "clone", folder / "up", folder / "up.log"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(self.root)], check=True)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tenon", "up", "--root", str(self.root), "--home", str(self.home)]
        command += self.options
        environment = {**os.environ, "TENON_CACHE": str(ROOT / ".cache" / "cache")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        wait_for((self.home / "connection.json").exists, seconds=STARTED_SECONDS, alive=self.process)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(timeout=60)

    @property
    def connection(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "connection.json").read_text())
        return found

    def call(self, path: str, body: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
        there = self.connection
        known = {"Authorization": f"Bearer {there['keys']['acme']}", "Content-Type": "application/json", **headers}
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(there["api"] + path, data, known), timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def upload(self, rows: Path) -> str:
        """The id of a file of acme's."""
        there = self.connection
        with OpenAI(base_url=f"{there['api']}/v1", api_key=there["keys"]["acme"]) as client, rows.open("rb") as file:
            return client.files.create(file=file, purpose="fine-tune").id

    def ended(self, job: str) -> dict[str, Any]:
        """The job once it has ended."""
        wait_for(lambda: self._status(job) in {"succeeded", "failed"}, seconds=JOB_SECONDS, alive=self.process)
        return self.call(f"/v1/fine_tuning/jobs/{job}")

    def _status(self, job: str) -> str | None:
        try:
            return str(self.call(f"/v1/fine_tuning/jobs/{job}")["status"])
        except OSError:  # being started again
            return None


def wait_for(met: Any, *, seconds: float, alive: Any) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert alive.poll() is None, "tenon up ended"
        assert time.monotonic() < deadline, "took too long"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobPath]:
    made = JobPath(tmp_path_factory.mktemp("up"))
    made.start()
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop()


@pytest.fixture(scope="module")
def rows(path: JobPath) -> str:
    """The demo's rows in acme's bucket, by the README's Python lines, which also submit a job."""
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    lines = block[1].replace(".cache/up/connection.json", str(path.home / "connection.json"))
    scope: dict[str, Any] = {}
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        exec(lines, scope)  # noqa: S102 - the README's own text
    finally:
        os.chdir(before)
    assert scope["job"].status == "queued"
    scope["client"].fine_tuning.jobs.cancel(scope["job"].id)
    return str(scope["rows"].id)


@pytest.fixture(scope="module")
def done(path: JobPath, rows: str) -> dict[str, Any]:
    """A short job that lived through a SIGKILL of every process the instant after its 202."""
    wanted = {"modelId": "replies", "datasetUrl": rows, "hyperparameters": SHORT}
    parent = "00-11111111111111111111111111111111-2222222222222222-01"
    job = path.call("/api/finetune", wanted, **{"Idempotency-Key": "k1", "traceparent": parent})["jobId"]
    doomed = path.connection["processes"].values()
    assert path.process is not None
    for process in (path.process.pid, *doomed):
        os.kill(process, signal.SIGKILL)
    path.process.wait(timeout=30)
    (path.home / "connection.json").unlink()
    path.start()
    return path.ended(str(job))


@pytest.mark.requirement("A9", "A13")
def test_an_acknowledged_job_survives_a_kill_of_every_process(done: dict[str, Any]) -> None:
    assert done["status"] == "succeeded", done["error"]


@pytest.mark.requirement("A6")
def test_the_same_key_after_the_kill_is_still_the_same_job(path: JobPath, rows: str, done: dict[str, Any]) -> None:
    wanted = {"modelId": "replies", "datasetUrl": rows, "hyperparameters": SHORT}
    assert path.call("/api/finetune", wanted, **{"Idempotency-Key": "k1"})["jobId"] == done["id"]


@pytest.mark.requirement("A35")
def test_one_trace_leads_from_the_request_to_the_manifest(path: JobPath, done: dict[str, Any]) -> None:
    spans = [json.loads(line) for line in (path.home / "traces.jsonl").read_text().splitlines()]
    names = {span["name"] for span in spans if "1" * 32 in json.dumps(span)}
    assert {"step prepare", "step train", "step evaluate", "step publish", "create workflow"} <= names
    assert "1" * 32 in json.dumps(manifest(path, done))


def manifest(path: JobPath, job: dict[str, Any]) -> Any:
    key = f"models/replies/replies-{job['id'][:12]}/MANIFEST.json"
    return json.loads(s3(path, "acme").get_object(Bucket="tenon-acme", Key=key)["Body"].read())


def s3(path: JobPath, tenant: str) -> Any:
    keys = json.loads((path.home / "credentials" / f"{tenant}.json").read_text())
    return boto3.client(
        "s3",
        endpoint_url=path.connection["s3"],
        region_name="us-east-1",
        aws_access_key_id=keys["accessKey"],
        aws_secret_access_key=keys["secretKey"],
        config=Config(s3={"addressing_style": "path"}),
    )


@pytest.mark.requirement("A23")
def test_a_tenants_key_opens_no_other_tenants_bucket(path: JobPath, done: dict[str, Any]) -> None:
    assert done["status"] == "succeeded"
    with pytest.raises(ClientError, match="AccessDenied"):
        s3(path, "globex").list_objects_v2(Bucket="tenon-acme")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3(path, "globex").put_object(Bucket="tenon-models", Key="x", Body=b"")


def test_a_second_up_on_the_folder_is_refused_while_the_first_goes_on(path: JobPath, done: dict[str, Any]) -> None:
    command = [sys.executable, "-m", "tenon", "up", "--root", str(path.root), "--home", str(path.home)]
    second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (second.returncode, second.stdout) == (2, "")
    assert "another `tenon up`" in second.stderr
    assert path.call(f"/v1/fine_tuning/jobs/{done['id']}")["status"] == "succeeded"


def test_the_readmes_request_is_taken(
    path: JobPath, rows: str, done: dict[str, Any], absent: Callable[[str], None]
) -> None:
    assert done["status"] == "succeeded"
    if shutil.which("curl") is None:
        absent("curl is not installed; the README's request needs it (Debian: apt-get install curl)")
    block = re.search(r"```console\n\$ (curl .*?)\n\{", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    command = re.sub(r"s3://tenon-acme/datasets/[\w.-]+", rows, block[1])
    known = {**os.environ, "API": path.connection["api"], "KEY": path.connection["keys"]["acme"]}
    said = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, env=known)
    job = json.loads(said.stdout)["jobId"]
    assert path.call(f"/v1/fine_tuning/jobs/{job}/cancel", {})["status"] == "cancelled"


def test_a_version_that_learned_too_little_does_not_pass_the_gate(path: JobPath, done: dict[str, Any]) -> None:
    record = path.root / "tenants" / "acme" / "models" / "replies.yaml"
    record.write_text(record.read_text().replace("minLossReduction: 0.1", "minLossReduction: 0.99"))
    git = ["git", "-C", str(path.root), "-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run([*git, "commit", "-qam", "Ask for the impossible"], check=True)
    command = [sys.executable, "-m", "tenon", "promote", done["id"], "--root", str(path.root), "--home", str(path.home)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (1, "")
    assert "minLossReduction" in said.stderr


def test_ctrl_c_stops_every_child(path: JobPath, done: dict[str, Any]) -> None:
    assert done["status"] == "succeeded"
    children = path.connection["processes"]
    path.stop(signal.SIGINT)
    assert path.process is not None
    assert path.process.returncode == 0
    assert set(children) == {"s3", "ingest", "watcher", "dispatcher", "workflows", "webhooks"}
    assert not [name for name, process in children.items() if is_alive(process)]
    assert not (path.home / "connection.json").exists()


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
