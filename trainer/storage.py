"""Files and folders by URL: `s3://bucket/key`, or a local path. The only module of the trainer that imports boto3.

S3 credentials come from the usual AWS variables; TENON_S3_URL is the endpoint of a store that is not AWS's, and
TENON_MODELS_S3_URL that of the models bucket where it has its own.
A folder is written with its MANIFEST.json last and read by its MANIFEST.json first.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from trainer.contract.bucket import MANIFEST
from trainer.contract.steps import MODELS_S3_URL, MODELS_URL, S3_URL
from trainer.outcomes import BadInput, Unavailable
from trainer.publishing import manifest

_SCHEME = "s3://"
_NOT_THERE = {"404", "NoSuchKey", "NotFound"}
_REFUSED = {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket"}


class Place(Protocol):
    """Where bytes are; keys are relative paths with `/`."""

    def read(self, key: str) -> bytes | None: ...
    def write(self, key: str, content: bytes) -> None: ...
    def download(self, key: str, to: Path) -> None: ...
    def upload(self, path: Path, key: str) -> None: ...
    def folders(self, key: str) -> list[str]: ...
    def remove(self, key: str) -> None: ...


def is_remote(url: str) -> bool:
    return url.startswith(_SCHEME)


def read(url: str) -> bytes | None:
    """Content of a file, None when it is not there. Raises Unavailable."""
    place, key = _at(url)
    return place.read(key)


def write(url: str, content: bytes) -> None:
    """Write a small file as a whole. Raises Unavailable."""
    place, key = _at(url)
    place.write(key, content)


def fetch_file(url: str, folder: Path) -> Path:
    """A local path with the content of `url`: the file itself, or a copy of the object in `folder`.

    Raises BadInput when it is not there or may not be read, Unavailable when the store does not answer.
    """
    if not is_remote(url):
        if not Path(url).is_file():
            raise BadInput(f"{url}: is no file here; give the path of one or an s3:// URL")
        return Path(url)
    place, key = _at(url)
    to = folder / Path(key).name
    folder.mkdir(parents=True, exist_ok=True)
    place.download(key, to)
    return to


def fetch_folder(url: str, folder: Path, *, digest: str | None = None, only: Iterable[str] | None = None) -> Path:
    """A local folder that was verified against its manifest: the folder itself, or a copy below `folder`.

    digest: sha256 its MANIFEST.json must have. only: the files that are wanted, where they are listed.
    Files already there with the right content are not fetched again. Raises manifest.Incomplete and Unavailable.
    """
    content = read(f"{url}/{MANIFEST}")
    if content is None:
        raise manifest.Incomplete(f"{url}: has no {MANIFEST}; it is no complete folder")
    manifest.check_digest(content, digest, where=url)
    files = manifest.parse(content, where=url)["files"]
    wanted = [name for name in files if only is None or name in set(only)]
    target = folder if is_remote(url) else Path(url)
    for name in wanted:
        if is_remote(url) and not _has(target / name, files[name]["sha256"]):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            place, key = _at(f"{url}/{name}")
            place.download(key, target / name)
        manifest.check_file(target / name, files[name]["sha256"])
    if is_remote(url):
        manifest.write_whole(target / MANIFEST, content)
    return target


def store_file(path: Path, url: str) -> None:
    """Copy one file to `url`. Raises Unavailable."""
    place, key = _at(url)
    place.upload(path, key)


def store_folder(folder: Path, url: str) -> None:
    """Copy a sealed folder, its manifest last; what is there with that manifest already is left. Raises Unavailable."""
    content = (folder / MANIFEST).read_bytes()
    if read(f"{url}/{MANIFEST}") == content:
        return
    for name in manifest.parse(content, where=str(folder))["files"]:
        store_file(folder / name, f"{url}/{name}")
    write(f"{url}/{MANIFEST}", content)


def is_complete(url: str) -> bool:
    """Whether the folder has its manifest. Raises Unavailable."""
    return read(f"{url}/{MANIFEST}") is not None


def folders(url: str) -> list[str]:
    """Names of the folders directly below `url`, sorted. Raises Unavailable."""
    place, key = _at(url)
    return sorted(place.folders(key))


def remove_folder(url: str) -> None:
    """Remove a folder, its manifest first, so that no half of it looks complete. Raises Unavailable."""
    place, key = _at(url)
    place.remove(f"{key}/{MANIFEST}")
    place.remove(f"{key}/")


def _has(path: Path, digest: str) -> bool:
    return path.is_file() and manifest.sha256_of(path) == digest


def _at(url: str) -> tuple[Place, str]:
    if not is_remote(url):
        return _Disk(), url
    bucket, _, key = url.removeprefix(_SCHEME).partition("/")
    return _Bucket(bucket), key


class _Disk:
    """Local paths. Raises Unavailable when the disk refuses (full, read only)."""

    def read(self, key: str) -> bytes | None:
        try:
            return Path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, key: str, content: bytes) -> None:
        with _disk(key):
            Path(key).parent.mkdir(parents=True, exist_ok=True)
            manifest.write_whole(Path(key), content)

    def download(self, key: str, to: Path) -> None:
        with _disk(str(to)):
            shutil.copyfile(key, to)

    def upload(self, path: Path, key: str) -> None:
        with _disk(key):
            Path(key).parent.mkdir(parents=True, exist_ok=True)
            partial = Path(key + ".partial")
            shutil.copyfile(path, partial)
            partial.replace(key)

    def folders(self, key: str) -> list[str]:
        return [entry.name for entry in Path(key).iterdir() if entry.is_dir()] if Path(key).is_dir() else []

    def remove(self, key: str) -> None:
        if key.endswith("/"):
            shutil.rmtree(key, ignore_errors=True)
        else:
            Path(key).unlink(missing_ok=True)


def _endpoint(bucket: str) -> str | None:
    """Endpoint of a bucket: in a cluster the models bucket has a gateway of its own; None is AWS."""
    models = os.environ.get(MODELS_URL, "").removeprefix(_SCHEME).rstrip("/")
    own = os.environ.get(MODELS_S3_URL) if bucket == models else None
    return own or os.environ.get(S3_URL)


class _Bucket:
    """Objects of one bucket."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._client = _client(_endpoint(name))

    def read(self, key: str) -> bytes | None:
        try:
            with self._answered(key):
                return bytes(self._client.get_object(Bucket=self._name, Key=key)["Body"].read())
        except _Missing:
            return None

    def write(self, key: str, content: bytes) -> None:
        with self._answered(key):
            self._client.put_object(Bucket=self._name, Key=key, Body=content)

    def download(self, key: str, to: Path) -> None:
        partial = to.with_name(to.name + ".partial")
        try:
            with self._answered(key):
                self._client.download_file(self._name, key, str(partial))
        except _Missing as error:
            raise BadInput(f"s3://{self._name}/{key}: is not there; upload it or mend the URL") from error
        partial.replace(to)

    def upload(self, path: Path, key: str) -> None:
        with self._answered(key):
            self._client.upload_file(str(path), self._name, key)

    def folders(self, key: str) -> list[str]:
        prefix = key.rstrip("/") + "/"
        with self._answered(key):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._name, Prefix=prefix, Delimiter="/"
            )
            found = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
        return [name.removeprefix(prefix).rstrip("/") for name in found]

    def remove(self, key: str) -> None:
        with self._answered(key):
            if not key.endswith("/"):
                self._client.delete_object(Bucket=self._name, Key=key)
                return
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=key)
            for entry in [entry for page in pages for entry in page.get("Contents", [])]:
                self._client.delete_object(Bucket=self._name, Key=entry["Key"])

    @contextmanager
    def _answered(self, key: str) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        where = f"s3://{self._name}/{key}"
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code"))
            if code in _NOT_THERE:
                raise _Missing(where) from error
            if code in _REFUSED:
                raise BadInput(f"{where}: the object store refused it ({code}); use the tenant's own bucket") from error
            raise Unavailable(f"{where}: the object store answered {code}; try again") from error
        except (BotoCoreError, Boto3Error, OSError) as error:
            endpoint = os.environ.get(S3_URL, "AWS S3")
            raise Unavailable(f"{where}: {endpoint} does not answer ({error}); is it up, is {S3_URL} right?") from error


class _Missing(Exception):  # noqa: N818 - an answer, not a fault
    """There is no such object."""


@cache
def _client(endpoint: str | None) -> Any:
    """A client whose every call ends within half a minute when the store is dead."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=3,
        read_timeout=20,
        retries={"max_attempts": 3, "mode": "standard"},
        s3={"addressing_style": "path"} if endpoint else {},
    )
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return boto3.session.Session().client("s3", endpoint_url=endpoint, region_name=region, config=config)


@contextmanager
def _disk(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{where}: cannot be written ({error.strerror}); free the disk or mend the path") from error
