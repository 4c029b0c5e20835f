"""A real object store for the API's tests: SeaweedFS with the buckets of the cast."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from app.tests.cast import KEYS
from trainer.tests import s3 as weed

ADMINISTRATOR = ("administrator", "administrator-secret-of-the-tests")
INGEST = ("ingest", "ingest-secret-of-the-tests")


def running(folder: Path) -> Iterator[str]:
    """Its endpoint; the API's account is in the environment, as boto3 expects."""
    own = [f"{action}:tenon-{tenant}" for tenant in KEYS for action in ("Read", "Write", "List")]
    accounts = [weed.identity(*ADMINISTRATOR, actions=["Admin"]), weed.identity(*INGEST, actions=own)]
    with pytest.MonkeyPatch.context() as patch, weed.running(folder, accounts) as url:
        key, secret = ADMINISTRATOR
        client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret
        )
        for tenant in KEYS:
            client.create_bucket(Bucket=f"tenon-{tenant}")
        client.close()
        for name, value in zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), INGEST, strict=True):
            patch.setenv(name, value)
        yield url
