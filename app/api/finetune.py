"""`POST /api/finetune`, and the one way in which a request of either API becomes a job."""

import functools
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import anyio.to_thread
from opentelemetry.trace import SpanKind
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.api.body import json_body
from app.api.entrance import Entrance, Visitor
from app.api.errors import RETRY_SECONDS, FieldError, Problem, bad_fields, field_errors
from app.api.webhooks import WebhookRows
from app.contract.directory import TenantEntry
from app.contract.internal import JOBS_TOPIC
from app.contract.job import FinetuneRequest, JobEnvelope, JobState
from app.directory import Directory
from app.intake import Intake
from app.jobs.admission import Admission, Refused, admit, files_named
from app.jobs.ids import Ids
from app.store.files import Files
from app.store.jobs import Job, Jobs
from app.telemetry import Tracing

RETRY_WINDOW = timedelta(minutes=5)  # in which a client's own retry is known by its content
RECOUNT_SECONDS = 1.0  # how old a count of queued jobs may be
SMALL_QUEUE = 100  # limits below it are near at once
_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True)
class Rows:
    """The store as the API uses it."""

    jobs: Jobs
    files: Files
    webhooks: WebhookRows | None = None


@dataclass(frozen=True)
class Accepted:
    """A job that is durably queued."""

    job: Job
    is_repeat: bool  # it was there before this request


@dataclass
class QueueRoom:
    """Whether a tenant's queue takes one more job.

    Counted once a second and reckoned on in between, so that a burst costs one count; before a refusal always counted.
    The store holds to the limit again, whatever several processes of ours reckon (dispatcher.py).
    """

    jobs: Jobs
    clock: Callable[[], float] = time.monotonic
    _queued: dict[str, tuple[int, float]] = field(default_factory=dict)  # tenant -> (jobs, as of)

    async def take(self, tenant: TenantEntry) -> int | None:
        """The limit, to be held to where the row is made; None while it is far. Raises Problem 429."""
        most, now = tenant.limits.queued_jobs, self.clock()
        queued, as_of = self._queued.get(tenant.id, (most, now))
        if queued >= most or now - as_of >= RECOUNT_SECONDS:
            counts = await anyio.to_thread.run_sync(self.jobs.counts, tenant.id)
            queued, as_of = counts[JobState.QUEUED], now
        if queued >= most:
            text = f"{most} jobs are queued already; wait for one, or raise limits.queuedJobs of the tenant file"
            raise Problem(429, "queue_full", text, headers={"Retry-After": "30"})
        self._queued[tenant.id] = (queued + 1, as_of)
        return most if most < SMALL_QUEUE or queued >= most / 2 else None


class Ingest:
    """Makes jobs. Its collaborators are given once, in wiring.py; without a store it only publishes."""

    def __init__(self, *, directory: Directory, intake: Intake, rows: Rows | None, tracing: Tracing, ids: Ids) -> None:
        self._directory = directory
        self._intake = intake
        self._rows = rows
        self._room = QueueRoom(rows.jobs) if rows else None
        self._tracing = tracing
        self._ids = ids

    async def accept(self, wanted: FinetuneRequest, visitor: Visitor, headers: Mapping[str, str]) -> Accepted:
        """Publish the job and make its row; 202 is true once the broker has acknowledged it.

        Raises Problem, and BrokerUnavailable or StoreUnavailable before anything was kept.
        """
        key = _idempotency_key(headers)
        job = self._ids.for_request(visitor.tenant.id, key)
        envelope = await self.admitted(wanted, visitor, job)
        is_found_later = key is not None and self._intake.finds_repeats
        if not is_found_later and (known := await self._known(envelope, is_keyed=key is not None, headers=headers)):
            return _repeat(known, envelope)
        try:
            most_queued = await self._room.take(visitor.tenant) if self._room else None
        except Problem:
            if is_found_later and (known := await self._known(envelope, is_keyed=True, headers=headers)):
                return _repeat(known, envelope)
            raise
        attributes = {"messaging.destination.name": JOBS_TOPIC, "messaging.message.id": job, "tenon.job": job}
        with self._tracing.span(f"send {JOBS_TOPIC}", kind=SpanKind.PRODUCER, **attributes) as span:
            is_new = await self._intake.take(envelope, traceparent=span.traceparent, most_queued=most_queued)
        if not is_new and self._rows is not None:
            first = await anyio.to_thread.run_sync(self._rows.jobs.get, envelope.tenant, envelope.id)
            # a repeat; or on a broker of its own the consumer, which was faster with this very job
            if first is not None and first.created_at != envelope.created_at:
                return _repeat(first, envelope)
        return Accepted(_queued(envelope, span.traceparent), is_repeat=False)

    async def admitted(self, wanted: FinetuneRequest, visitor: Visitor, job: str) -> JobEnvelope:
        """What the job would be. Raises Problem with every field that is refused."""
        tenant = visitor.tenant
        if wanted.tenant_id not in {None, tenant.id}:
            error = FieldError(("tenantId",), "tenant_mismatch", "is not the tenant of this API key; leave it out")
            raise Problem(403, error.code, f"tenantId {error.detail}", errors=[error])
        files = await self._keys(tenant.id, files_named(wanted))
        admission = Admission(tenant, self._directory.platform, files)
        try:
            return admit(wanted, admission, job=job, created_at=datetime.now(UTC))
        except Refused as refused:
            errors = [
                FieldError(tuple(refusal.field.split(".")), refusal.code, refusal.text) for refusal in refused.refusals
            ]
            raise bad_fields(errors) from refused

    async def _keys(self, tenant: str, ids: tuple[str, ...]) -> dict[str, str]:
        found = {}
        if self._rows is not None:
            for file in ids:
                if stored := await anyio.to_thread.run_sync(self._rows.files.get, tenant, file):
                    found[file] = stored.key
        return found

    async def _known(self, envelope: JobEnvelope, *, is_keyed: bool, headers: Mapping[str, str]) -> Job | None:
        """The job this request made before: by its key, or as a retry that OpenAI's client made without one."""
        if self._rows is None:
            return None
        jobs, tenant = self._rows.jobs, envelope.tenant
        if is_keyed:
            return await anyio.to_thread.run_sync(jobs.get, tenant, envelope.id)
        if headers.get("x-stainless-retry-count", "0") == "0":
            return None
        since = envelope.created_at - RETRY_WINDOW
        same = functools.partial(jobs.same_request, tenant, envelope.request_hash, since=since)
        return await anyio.to_thread.run_sync(same)


class Finetune:
    """The route."""

    def __init__(self, *, entrance: Entrance, ingest: Ingest) -> None:
        self._entrance = entrance
        self._ingest = ingest

    async def submit(self, request: Request) -> Response:
        visitor = self._entrance.admit(request)
        body = await json_body(request)
        try:
            wanted = FinetuneRequest.model_validate_json(body)
        except ValidationError as error:
            raise bad_fields(field_errors(error)) from error
        accepted = await self._ingest.accept(wanted, visitor, request.headers)
        return _accepted(accepted)


def _accepted(accepted: Accepted) -> Response:
    job = accepted.job
    message = "This fine-tuning job was accepted before" if accepted.is_repeat else "Fine-tuning job accepted"
    headers = {"Location": f"/v1/fine_tuning/jobs/{job.id}", "Retry-After": str(RETRY_SECONDS)}
    return JSONResponse({"message": message, "jobId": job.id}, 202, headers=headers)


def _idempotency_key(headers: Mapping[str, str]) -> str | None:
    key = headers.get("idempotency-key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        text = "must be 1-255 printable ASCII characters without blanks"
        raise bad_fields([FieldError(("Idempotency-Key",), "invalid", text, in_body=False)])
    return key


def _repeat(known: Job, envelope: JobEnvelope) -> Accepted:
    if known.envelope.request_hash != envelope.request_hash:
        text = "this Idempotency-Key made a job from another request; send the first request again, or draw a new key"
        error = FieldError(("Idempotency-Key",), "idempotency_key_reused", text, in_body=False)
        raise Problem(422, error.code, text, errors=[error], permanent=True)
    return Accepted(known, is_repeat=True)


def _queued(envelope: JobEnvelope, traceparent: str) -> Job:
    return Job(
        id=envelope.id,
        tenant=envelope.tenant,
        state=JobState.QUEUED,
        version=1,
        attempt=0,
        envelope=envelope,
        traceparent=traceparent,
        created_at=envelope.created_at,
        started_at=None,
        finished_at=None,
        error=None,
        error_code=None,
        numbers={},
    )
