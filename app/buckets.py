"""The object store as the API uses it: uploads into a tenant's bucket and reads from it. The only importer of boto3.

Credentials come from boto3's own chain (environment, files, the pod's role), never from settings of ours.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, BinaryIO

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

CONNECT_SECONDS = 2
READ_SECONDS = 20
CHUNK_BYTES = 1 << 20
_MISSING = {"NoSuchKey", "404"}


class BucketUnavailable(Exception):  # noqa: N818 - the name is the fact
    """The object store does not answer or refuses us; the text tells the remedy."""


class ObjectMissing(Exception):  # noqa: N818 - the name is the fact
    """The bucket has no object under the key."""


class Buckets:
    """Objects by bucket and key. Thread-safe, as boto3's clients are.

    An endpoint with `{bucket}` in it is one for each bucket: in a cluster every tenant has a gateway of its own.
    """

    def __init__(self, s3_url: str | None) -> None:
        self._s3_url = s3_url
        self._place = s3_url or "AWS S3"
        # an endpoint of our own has one name for all buckets, so the bucket goes into the path
        style = {"addressing_style": "path"} if s3_url else {}
        self._config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": 2},
            s3=style,
            signature_version="s3v4",
        )
        self._clients: dict[str | None, Any] = {}
        self._making = Lock()

    def ensure(self, names: Sequence[str]) -> None:
        """Create each bucket that is not there. Raises BucketUnavailable."""
        for name in names:
            with self._mended(name, ""):
                there = {bucket["Name"] for bucket in self._at(name).list_buckets()["Buckets"]}
                if name not in there:
                    self._at(name).create_bucket(Bucket=name)

    def put(self, bucket: str, key: str, body: BinaryIO) -> None:
        """Store the rest of the stream. Raises BucketUnavailable."""
        with self._mended(bucket, key):
            self._at(bucket).put_object(Bucket=bucket, Key=key, Body=body)

    def read(self, bucket: str, key: str) -> Iterator[bytes]:
        """The object in chunks. Raises ObjectMissing and BucketUnavailable at the call, before the first chunk."""
        with self._mended(bucket, key):
            body = self._at(bucket).get_object(Bucket=bucket, Key=key)["Body"]
        return iter(body.iter_chunks(CHUNK_BYTES))

    def keys(self, bucket: str, prefix: str, *, most: int) -> list[tuple[str, int]]:
        """The first `most` keys below a prefix, each with its bytes. Raises BucketUnavailable."""
        with self._mended(bucket, prefix):
            pages = (
                self._at(bucket)
                .get_paginator("list_objects_v2")
                .paginate(Bucket=bucket, Prefix=prefix, PaginationConfig={"MaxItems": most})
            )
            return [(entry["Key"], int(entry["Size"])) for page in pages for entry in page.get("Contents", [])]

    def size(self, bucket: str, key: str) -> int:
        """Bytes of the object. Raises ObjectMissing and BucketUnavailable."""
        with self._mended(bucket, key):
            return int(self._at(bucket).head_object(Bucket=bucket, Key=key)["ContentLength"])

    def delete(self, bucket: str, key: str) -> None:
        """Also where there is none. Raises BucketUnavailable."""
        with self._mended(bucket, key):
            self._at(bucket).delete_object(Bucket=bucket, Key=key)

    def upload_url(self, bucket: str, key: str, *, bytes_: int, seconds: int) -> str:
        """Where exactly that many bytes may be PUT for some time, by whoever has the URL."""
        with self._mended(bucket, key):
            wanted = {"Bucket": bucket, "Key": key, "ContentLength": bytes_}
            return str(self._at(bucket).generate_presigned_url("put_object", Params=wanted, ExpiresIn=seconds))

    def _at(self, bucket: str) -> Any:
        """The client of the bucket's endpoint, made once: making one reads boto3's tables of services."""
        url = self._s3_url.replace("{bucket}", bucket) if self._s3_url else None
        with self._making:
            if url not in self._clients:
                region = "us-east-1" if url else None  # signed with, but of no meaning to an endpoint of our own
                session = boto3.session.Session()
                self._clients[url] = session.client("s3", endpoint_url=url, region_name=region, config=self._config)
            return self._clients[url]

    @contextmanager
    def _mended(self, bucket: str, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in _MISSING:
                raise ObjectMissing(f"s3://{bucket}/{key} is not there; upload the file again") from error
            raise BucketUnavailable(
                f"bucket {bucket} at {self._place} answers {code}; check that it exists and that our account may use it"
            ) from error
        except BotoCoreError as error:
            raise BucketUnavailable(
                f"{self._place} cannot be used ({type(error).__name__}); check TENON_S3_URL, credentials and the store"
            ) from error
