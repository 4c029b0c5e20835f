"""A job from the request to its attempts: what a caller sends, what travels through the broker, how it is named."""

import base64
import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from app.contract.wire import Wire
from trainer.contract.checks import Checks
from trainer.contract.filters import Filters
from trainer.contract.job import ModelName, TrainingJob
from trainer.contract.recipe import Hyperparameters
from trainer.contract.search import Search

TenantId = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{1,30}[a-z0-9])$")]
"""A DNS label of 3-32 characters that begins with a letter. Reserved ids are refused by generators/naming.py."""


class FinetuneRequest(Wire):
    """Body of `POST /api/finetune`. `tenantId` is only an assertion: the caller decides the tenant."""

    tenant_id: str | None = Field(None, min_length=1, max_length=64)
    model_id: str = Field(min_length=1, max_length=64, description="a model record of the tenant, or a catalogue base")
    dataset_url: str = Field(min_length=1, max_length=1024, description="s3://<own bucket>/datasets/<file>")
    evaluation_url: str | None = Field(None, min_length=1, max_length=1024, description="held-out rows, same form")
    callback_url: str | None = Field(None, min_length=1, max_length=1024)
    suffix: ModelName | None = Field(None, description="name of the model record, when modelId is a base")
    hyperparameters: Hyperparameters = Hyperparameters()
    search: Search | None = Field(None, description="search for hyperparameters in the place of one training")
    filters: Filters = Filters()
    checks: Checks = Checks()
    exports: tuple[Literal["merged", "gguf"], ...] = ()
    data_licence: str | None = Field(None, max_length=64, description="SPDX id of the rows' licence")
    seed: int = Field(0, ge=0, lt=2**31)
    metadata: dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]] = Field(
        default_factory=dict, max_length=16
    )


class JobState(StrEnum):
    """States of a job; app/jobs/state.py holds the moves between them."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"  # its workflow is being stopped, with a checkpoint where there is one
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}


class JobEnvelope(Wire):
    """Value of a `finetuning-jobs` message; headers are CloudEvents binary mode (app/broker/envelope.py).

    `request_hash` tells a repeated request from another one under the same Idempotency-Key.
    """

    version: Literal[1] = 1
    id: str
    tenant: TenantId
    training: TrainingJob
    metadata: dict[str, str] = Field(default_factory=dict)
    callback_url: str | None = None
    request_hash: str
    created_at: datetime


def job_id(tenant: str, idempotency_key: str) -> str:
    """The id a tenant's Idempotency-Key always leads to: 26 base32 characters (130 bits) of sha256.

    Deterministic, so an ambiguous time-out of the broker cannot make two jobs even without a database.
    """
    digest = hashlib.sha256(f"{tenant}\0{idempotency_key}".encode()).digest()
    return base64.b32encode(digest).decode().lower()[:26]


def workflow_name(job: str, attempt: int) -> str:
    """`ft-<jobid>-a<n>`: at most 63 characters, because Kubernetes makes it a label."""
    return f"ft-{job}-a{attempt}"
