"""The object store as the API uses it: uploads into a tenant's bucket and reads from it. The only importer of boto3.

Credentials come from boto3's own chain (environment, files, the pod's role), never from settings of ours.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    """Objects by bucket and key. Thread-safe, as boto3's clients are."""

    def __init__(self, s3_url: str | None) -> None:
        self._place = s3_url or "AWS S3"
        # an endpoint of our own has one name for all buckets, so the bucket goes into the path
        style = {"addressing_style": "path"} if s3_url else {}
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": 2},
            s3=style,
            signature_version="s3v4",
        )
        region = "us-east-1" if s3_url else None  # signed with, but of no meaning to an endpoint of our own
        self._client: Any = boto3.session.Session().client("s3", endpoint_url=s3_url, region_name=region, config=config)

    def ensure(self, names: Sequence[str]) -> None:
        """Create each bucket that is not there. Raises BucketUnavailable."""
        with self._mended(", ".join(names), ""):
            there = {bucket["Name"] for bucket in self._client.list_buckets()["Buckets"]}
        for name in names:
            if name not in there:
                with self._mended(name, ""):
                    self._client.create_bucket(Bucket=name)

    def put(self, bucket: str, key: str, body: BinaryIO) -> None:
        """Store the rest of the stream. Raises BucketUnavailable."""
        with self._mended(bucket, key):
            self._client.put_object(Bucket=bucket, Key=key, Body=body)

    def read(self, bucket: str, key: str) -> Iterator[bytes]:
        """The object in chunks. Raises ObjectMissing and BucketUnavailable at the call, before the first chunk."""
        with self._mended(bucket, key):
            body = self._client.get_object(Bucket=bucket, Key=key)["Body"]
        return iter(body.iter_chunks(CHUNK_BYTES))

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
