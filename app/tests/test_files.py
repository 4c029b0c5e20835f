"""Files: through the API and past it, in the tenant's own bucket, read, listed and deleted."""

import hashlib
import io
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import pytest
from openai import OpenAI
from sqlalchemy import update

from app.buckets import Buckets, ObjectMissing
from app.contract.directory import Limits
from app.contract.job import JobState
from app.store.engine import StoreUnavailable, writing
from app.store.tables import files, jobs
from app.tests import objectstore
from app.tests.cast import KEYS, tenant_entry
from app.tests.local import START
from app.tests.serving import Api, listening, serve

ROWS = b'{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}\n' * 3
URL = "s3://tenon-acme/datasets/rows.jsonl"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from objectstore.running(tmp_path_factory.mktemp("s3"))


@pytest.fixture(scope="module")
def api(s3: str, tmp_path_factory: pytest.TempPathFactory) -> Api:
    return serve(tmp_path_factory.mktemp("openai"), buckets=Buckets(s3))


@pytest.fixture(scope="module")
def url(api: Api) -> Iterator[str]:
    with listening(api.application) as url:
        yield f"{url}/v1"


@pytest.fixture
def acme(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=url, api_key=KEYS["acme"]) as client:
        yield client


@pytest.fixture
def globex(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=url, api_key=KEYS["globex"]) as client:
        yield client


def test_a_file_comes_back_as_it_was_sent_and_lies_in_the_tenants_bucket(api: Api, acme: OpenAI) -> None:
    sent = acme.files.create(file=("../../rows of today.jsonl", ROWS), purpose="fine-tune")
    stored = api.rows.files.get("acme", sent.id)
    assert stored is not None
    assert stored.key == f"datasets/{sent.id}-rows-of-today.jsonl"
    assert acme.files.retrieve(sent.id) == sent
    assert acme.files.content(sent.id).read() == ROWS
    assert sent.id in [file.id for file in acme.files.list()]


def test_a_file_bigger_than_memory_keeps_comes_back_too(acme: OpenAI) -> None:
    rows = ROWS * 20_000  # beyond 1 MiB an upload is spooled to the disk
    file = acme.files.create(file=("rows.jsonl", rows), purpose="fine-tune")
    assert file.bytes == len(rows)
    assert acme.files.content(file.id).read() == rows


@pytest.mark.parametrize(
    ("parts", "status", "field"),
    [
        ({"data": {"purpose": "fine-tune"}, "files": {"other": b"x"}}, 400, "file"),
        ({"data": {"purpose": "fine-tune"}, "files": {"file": ("a", b"")}}, 400, "file"),
        ({"data": {"purpose": "vision"}, "files": {"file": ("a", ROWS)}}, 400, "purpose"),
        ({"data": {"purpose": "fine-tune", "x": "1"}, "files": {"file": ("a", ROWS)}}, 400, "x"),
        ({"data": {"purpose": "fine-tune"}, "files": [("file", ("a", ROWS)), ("file", ("b", ROWS))]}, 400, None),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, None),
        ({"json": {"purpose": "fine-tune"}}, 415, None),
    ],
)
def test_a_bad_upload_is_refused(api: Api, parts: dict[str, Any], status: int, field: str | None) -> None:
    answer = api.send("POST", "/v1/files", **parts)
    assert answer.status_code == status
    assert field in {None, *(error["field"] for error in answer.json()["invalidParams"])}


def test_an_upload_above_the_cap_is_refused_before_it_is_read(api: Api) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(600 << 20)}
    assert api.send("POST", "/v1/files", content=b"--b--", headers=headers).status_code == 413


def test_a_bucket_that_is_missing_is_503_with_the_remedy(s3: str, tmp_path: Path) -> None:
    entry = tenant_entry(limits=Limits()).model_copy(update={"bucket": "tenon-gone"})
    api = serve(tmp_path, entry, buckets=Buckets(s3))
    answer = api.send("POST", "/v1/files", data={"purpose": "fine-tune"}, files={"file": ("a", ROWS)})
    assert answer.status_code == 503
    assert "bucket tenon-gone" in answer.json()["detail"]


def test_a_dead_object_store_is_503_soon_and_leaves_no_file(s3: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    api = serve(tmp_path, buckets=Buckets(f"http://127.0.0.1:{port}"))
    answer = api.send("POST", "/v1/files", data={"purpose": "fine-tune"}, files={"file": ("a", ROWS)})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "check TENON_S3_URL" in answer.json()["detail"]
    assert api.rows.files.list("acme", after=None, limit=9) == []


def test_no_row_means_no_file_even_when_the_bytes_arrived(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = serve(tmp_path, buckets=Buckets(s3))

    def full(_file: object) -> None:
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(api.rows.files, "add", full)
    answer = api.send("POST", "/v1/files", data={"purpose": "fine-tune"}, files={"file": ("a", ROWS)})
    assert answer.status_code == 503
    assert api.send("GET", "/v1/files").json()["data"] == []


def put(answer: dict[str, Any], body: bytes) -> int:
    """Send the bytes to the object store, without any key of ours."""
    return httpx.put(answer["url"], content=body, headers=answer["headers"], trust_env=False).status_code


def test_a_big_file_goes_past_the_api_and_is_checked_at_the_end(api: Api, acme: OpenAI) -> None:
    upload = acme.uploads.create(filename="rows.jsonl", bytes=len(ROWS), mime_type="text/jsonl", purpose="fine-tune")
    assert put(upload.model_dump(), ROWS) == 200
    assert upload.id.removeprefix("upload-") not in str(acme.files.list().data)
    with pytest.raises(openai.BadRequestError, match="no file of yours"):
        acme.fine_tuning.jobs.create(model="replies", training_file=upload.id.replace("upload", "file"))
    wanted = {"sha256": hashlib.sha256(ROWS).hexdigest()}
    done = acme.uploads.complete(upload.id, part_ids=[], extra_body=wanted)
    assert (done.status, done.file and done.file.bytes) == ("completed", len(ROWS))
    assert done.file is not None
    assert acme.files.content(done.file.id).read() == ROWS
    assert acme.fine_tuning.jobs.create(model="replies", training_file=done.file.id).training_file == done.file.id


def announce(api: Api, **changes: Any) -> httpx.Response:
    body = {"filename": "r.jsonl", "purpose": "fine-tune", "bytes": len(ROWS), **changes}
    return api.send("POST", "/v1/uploads", json=body)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"bytes": 0}, "bytes"),
        ({"bytes": 6 << 30}, "bytes"),
        ({"bytes": "9"}, "bytes"),
        ({"filename": ""}, "filename"),
        ({"purpose": "vision"}, "purpose"),
        ({"x": 1}, "x"),
    ],
)
def test_a_bad_announcement_is_refused(api: Api, changes: dict[str, Any], field: str) -> None:
    answer = announce(api, **changes)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])


def test_the_object_store_takes_no_more_than_was_announced(api: Api) -> None:
    upload = announce(api).json()
    assert put({**upload, "headers": {}}, ROWS * 2) == 403


def test_an_upload_is_complete_when_its_bytes_are_there_and_right(api: Api) -> None:
    upload = announce(api).json()
    complete = f"/v1/uploads/{upload['id']}/complete"
    early = api.send("POST", complete, json={})
    assert (early.status_code, early.headers["x-should-retry"]) == (409, "false")
    assert put(upload, ROWS) == 200
    assert api.send("POST", complete, json={"sha256": "0" * 64}).json()["error"]["code"] == "checksum_mismatch"
    assert api.send("POST", complete, json={}, tenant="globex").status_code == 404
    assert api.send("POST", complete, json={"part_ids": ["p"]}).status_code == 400
    assert api.send("POST", complete, json={}).json()["file"]["sha256"] == hashlib.sha256(ROWS).hexdigest()
    assert api.send("POST", complete, json={}).status_code == 404


def test_a_cancelled_upload_leaves_nothing(api: Api, s3: str) -> None:
    upload = announce(api).json()
    put(upload, ROWS)
    assert api.send("POST", f"/v1/uploads/{upload['id']}/cancel").json()["status"] == "cancelled"
    assert api.send("POST", f"/v1/uploads/{upload['id']}/complete", json={}).status_code == 404
    key = urlsplit(upload["url"]).path.removeprefix("/tenon-acme/")
    with pytest.raises(ObjectMissing):
        Buckets(s3).size("tenon-acme", key)


def test_an_upload_that_never_came_is_cleared_away_by_the_next(api: Api) -> None:
    late = announce(api).json()
    with writing(api.rows.jobs.engine) as connection:
        connection.execute(update(files).where(files.c.status == "uploading").values(expires_at=START))
    assert api.send("POST", f"/v1/uploads/{late['id']}/complete", json={}).status_code == 404
    announce(api)
    assert api.rows.files.expired("acme", at=datetime.now(UTC), limit=9) == []


def test_a_deleted_file_is_gone_with_its_bytes(api: Api, s3: str, acme: OpenAI, globex: OpenAI) -> None:
    file = acme.files.create(file=("rows.jsonl", ROWS), purpose="fine-tune").id
    stored = api.rows.files.get("acme", file)
    assert stored is not None
    with pytest.raises(openai.NotFoundError):
        globex.files.delete(file)
    assert acme.files.delete(file).deleted
    with pytest.raises(ObjectMissing):
        Buckets(s3).size("tenon-acme", stored.key)
    with pytest.raises(openai.NotFoundError):
        acme.files.retrieve(file)


def test_the_figures_of_a_job_are_its_result_file(api: Api, s3: str, acme: OpenAI) -> None:
    job = acme.fine_tuning.jobs.create(model="replies", training_file=URL)
    with writing(api.rows.jobs.engine) as connection:
        ended = update(jobs).where(jobs.c.id == job.id).values(state=JobState.SUCCEEDED, attempt=2)
        connection.execute(ended)
    Buckets(s3).put("tenon-acme", f"jobs/{job.id}/2/metrics.jsonl", io.BytesIO(ROWS))
    (result,) = acme.fine_tuning.jobs.retrieve(job.id).result_files
    assert acme.files.retrieve(result).purpose == "fine-tune-results"
    assert acme.files.content(result).read() == ROWS
    with pytest.raises(openai.PermissionDeniedError):
        acme.files.delete(result)


def test_each_bucket_may_have_an_endpoint_of_its_own(s3: str) -> None:
    through = Buckets(s3.replace("http://127.0.0.1", "http://{bucket}.localhost"))
    url = through.upload_url("tenon-acme", "datasets/x", bytes_=1, seconds=60)
    assert urlsplit(url).hostname == "tenon-acme.localhost"
    assert urlsplit(url).path == "/tenon-acme/datasets/x"
