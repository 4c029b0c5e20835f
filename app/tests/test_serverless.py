"""The API as a serverless function: what it imports, how big its folder is, and that it needs no store."""

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.metrics import Metrics
from app.settings import Settings, SettingsError
from app.tests.cast import KEYS, write_directory
from app.tests.serving import listening
from app.wiring import ingest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "transformers", "kubernetes", "cdk8s", "jsii", "hera", "peft", "numpy", "generators", "tenon"}
LIMIT_BYTES = 150_000_000  # the platform's own limit is 500 MB, unpacked
WITH_KAFKA = "confluent_kafka"

PROGRAM = """
import asyncio, json, os, sys
import app.index
imported = sorted({name.partition(".")[0] for name in sys.modules})
messages, answers = [], []

async def ask(method, path, body=b"{}"):
    headers = [(b"content-type", b"application/json"), (b"authorization", os.environ["KEY"].encode())]
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
             "raw_path": path.encode(), "query_string": b"", "headers": headers, "client": None, "server": None,
             "scheme": "https", "root_path": ""}
    sent = []
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}
    async def send(message):
        sent.append(message)
    await app.index.app(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])

async def main():
    body = json.dumps({"modelId": "smollm2-135m", "datasetUrl": "s3://tenon-acme/datasets/rows.jsonl"}).encode()
    answers.append(await ask("POST", "/api/finetune", body))
    answers.append(await ask("GET", "/v1/models"))
    answers.append(await ask("GET", "/v1/fine_tuning/jobs"))

asyncio.run(main())
used = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"imported": imported, "used": used, "answers": answers}))
"""


async def stored(request: Request) -> Response:
    """The answer of an HTTP bridge of Kafka."""
    await request.body()
    return JSONResponse({"offsets": [{"partition": 0, "offset": 7}]})


@pytest.mark.requirement("A5")
def test_without_a_store_one_request_is_published_and_nothing_heavy_is_imported(tmp_path: Path) -> None:
    bridge = Starlette(routes=[Route("/topics/finetuning-jobs", stored, methods=["POST"])])
    with listening(bridge) as url:
        environment = {
            "PATH": os.environ["PATH"],
            "TENON_DIRECTORY_URL": write_directory(tmp_path / "directory"),
            "TENON_BROKER_URL": url.replace("http://", "http+kafkarest://"),
            "KEY": f"Bearer {KEYS['acme']}",
        }
        command = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    told = _last_json(done.stdout)
    (accepted, job), (listed, _), (missing, _) = told["answers"]
    assert (accepted, "jobId" in job, listed, missing) == (202, True, 200, 404)
    assert HEAVY & set(told["used"]) == set()
    assert WITH_KAFKA not in told["used"]


def test_the_queue_in_the_store_needs_a_store(tmp_path: Path) -> None:
    settings = Settings.from_environment({"TENON_DIRECTORY_URL": write_directory(tmp_path / "directory")})
    with pytest.raises(SettingsError, match="set TENON_STORE_URL too"):
        ingest(settings, Metrics("ingest"))


def test_the_installed_bundle_is_far_below_the_platforms_limit() -> None:
    """Every file of every package that `ingest.txt` locks, and of the packages of ours that go along."""
    sizes = {name: _installed_bytes(name) for name in _locked()}
    own = sum(path.stat().st_size for name in ("app", "trainer") for path in (ROOT / name).rglob("*.py"))
    print(f"{(sum(sizes.values()) + own) / 1e6:.1f} MB")  # noqa: T201 - a figure
    assert not {name.replace("-", "_") for name in sizes} & HEAVY
    assert sum(sizes.values()) + own < LIMIT_BYTES


def _locked() -> list[str]:
    """Names of the lock that are installed on this platform."""
    lines = (ROOT / "requirements" / "ingest.txt").read_text(encoding="utf-8").splitlines()
    locked = [Requirement(line.split("\\")[0]) for line in lines if line[:1].isalnum()]
    here = {name: str(value) for name, value in default_environment().items()}
    wanted = [each.name for each in locked if each.marker is None or each.marker.evaluate(here)]
    assert len(wanted) > 20
    return wanted


def _installed_bytes(name: str) -> int:
    try:
        files = distribution(name).files
    except PackageNotFoundError:
        pytest.fail(f"{name} is locked for ingest and not installed; run `make install`")
    assert files
    found = (Path(str(file.locate())) for file in files)
    return sum(path.stat().st_size for path in found if path.is_file() and path.suffix != ".pyc")


def _last_json(text: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(text.splitlines()[-1])
    return told
