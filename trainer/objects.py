"""Objects of an S3 bucket. The only module of the trainer that imports boto3.

Credentials come from the usual AWS variables; TENON_S3_URL is the endpoint of a store that is not AWS's, and
TENON_MODELS_S3_URL that of the models bucket where it has its own. Such an endpoint knows no keys and is asked without.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from trainer.contract.steps import MODELS_S3_URL, MODELS_URL, S3_URL
from trainer.outcomes import BadInput, Unavailable

SCHEME = "s3://"
_NOT_THERE = {"404", "NoSuchKey", "NotFound"}
_REFUSED = {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket"}


def endpoint(bucket: str) -> str | None:
    """Endpoint of a bucket: in a cluster the models bucket has a gateway of its own; None is AWS."""
    return _open_endpoint(bucket) or os.environ.get(S3_URL)


def _open_endpoint(bucket: str) -> str | None:
    """The models bucket's own endpoint; None for every other bucket, and where it has none."""
    models = os.environ.get(MODELS_URL, "").removeprefix(SCHEME).rstrip("/")
    return os.environ.get(MODELS_S3_URL) or None if bucket == models else None


class NotThere(BadInput):
    """The object is not in the bucket."""


class Bucket:
    """Objects of one bucket."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._client = _client(endpoint(name), signed=_open_endpoint(name) is None)

    def read(self, key: str) -> bytes | None:
        try:
            with self._answered(key):
                return bytes(self._client.get_object(Bucket=self._name, Key=key)["Body"].read())
        except _Missing:
            return None

    def write(self, key: str, content: bytes) -> None:
        with self._answered(key):
            self._client.put_object(Bucket=self._name, Key=key, Body=content)

    def download(self, key: str, to: Path, *, most: int | None = None) -> None:
        """In ranges; one whose connection drops is asked for again. most: bytes; of a larger object none is read."""
        partial = to.with_name(f"{to.name}.{os.getpid()}.partial")  # ranks of one pod may fetch the same
        try:
            with self._answered(key):
                if most is not None:
                    self._refuse_larger(key, most)
                self._client.download_file(self._name, key, str(partial))
        except _Missing as error:
            raise NotThere(f"s3://{self._name}/{key}: is not there; upload it or mend the URL") from error
        partial.replace(to)

    def _refuse_larger(self, key: str, most: int) -> None:
        length = int(self._client.head_object(Bucket=self._name, Key=key)["ContentLength"])
        if length > most:
            raise BadInput(f"s3://{self._name}/{key}: has {length} bytes and {most} are allowed; give a smaller file")

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

    def size(self, key: str) -> int:
        with self._answered(key):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._name, Prefix=key.rstrip("/") + "/"
            )
            return sum(int(entry["Size"]) for page in pages for entry in page.get("Contents", []))

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
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

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
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise BadInput(f"{where}: there are no credentials for it ({error}); set the AWS variables") from error
        except (BotoCoreError, Boto3Error, OSError) as error:
            store = endpoint(self._name) or "AWS S3"
            raise Unavailable(f"{where}: {store} does not answer ({error}); is it up, is {S3_URL} right?") from error


class _Missing(Exception):  # noqa: N818 - an answer, not a fault
    """There is no such object."""


@cache
def _client(url: str | None, *, signed: bool) -> Any:
    """A client whose every call ends after half a minute when the store does not answer (10 s, three times)."""
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    config = Config(
        signature_version=None if signed else UNSIGNED,
        connect_timeout=3,
        read_timeout=10,
        retries={"total_max_attempts": 3, "mode": "standard"},
        s3={"addressing_style": "path"} if url else {},
    )
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return boto3.session.Session().client("s3", endpoint_url=url, region_name=region, config=config)
