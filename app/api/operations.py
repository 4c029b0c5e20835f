"""What the API serves, operation by operation: the table that the OpenAPI document is made from.

A test compares it with the routes, and the document with what is answered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.api import shapes
from app.api.translation import CreateJob
from app.api.uploads import CompleteUpload, CreateUpload
from app.contract.job import FinetuneRequest

JSON = "application/json"
FORM = "multipart/form-data"
STREAM = "text/event-stream"
TEXT = "text/plain"
BYTES = "application/octet-stream"
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Parameter:
    """A query parameter or a request header."""

    name: str
    schema: Mapping[str, Any]
    place: str = "query"
    style: str | None = None  # OpenAPI's, where it is not the default one


@dataclass(frozen=True)
class Page:
    """A list of these."""

    of: type


@dataclass(frozen=True)
class Operation:
    """answers: statuses of success, each with what it holds; None is no body. refusals: beside those all have."""

    method: str
    path: str
    summary: str
    answers: Mapping[int, Any]
    body: Any = None
    body_type: str = JSON
    parameters: tuple[Parameter, ...] = ()
    refusals: tuple[int, ...] = ()
    content_type: str = JSON
    others: Mapping[str, str] = field(default_factory=dict)  # further content types of 200 -> what they hold
    is_public: bool = False  # asks nobody who calls


AFTER = Parameter("after", {"type": "string", "description": "id of the last object of the page before"})
LIMIT = Parameter("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20})
FILE_LIMIT = Parameter("limit", {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 20})
METADATA = Parameter("metadata", {"type": "object", "additionalProperties": {"type": "string"}}, style="deepObject")
KEY = Parameter(
    "Idempotency-Key", {"type": "string", "pattern": "^[!-~]{1,255}$", "description": "one key is one job"}, "header"
)
TAG = Parameter(
    "If-None-Match", {"type": "string", "pattern": "^[!-~]*$", "description": "ETag that is known"}, "header"
)
WAIT = Parameter(
    "Prefer",
    {"type": "string", "pattern": "^wait=[0-9]{1,2}$", "description": "seconds to wait for a change"},
    "header",
)
LAST_EVENT = Parameter("Last-Event-ID", {"type": "string", "pattern": "^ftevent-[0-9]{1,18}$"}, "header")
LAST_LINE = Parameter(
    "Last-Event-ID", {"type": "string", "pattern": "^[0-9]{1,6}[.][a-z]{1,9}[.][0-9]{1,9}$"}, "header"
)
AS_STREAM = Parameter("stream", {"type": "string", "enum": ["true", "false"], "default": "false"})
PURPOSE = Parameter("purpose", {"type": "string"})

UPLOADED = {
    "type": "object",
    "additionalProperties": False,
    "required": ["file", "purpose"],
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "rows, at most 512 MiB"},
        "purpose": {"const": "fine-tune"},
    },
}
_JOB = "/v1/fine_tuning/jobs/{job}"
_JOB_OBJECT = {200: shapes.JobObject}

OPERATIONS: tuple[Operation, ...] = (
    Operation("GET", "/healthz", "Whether the process serves", {200: shapes.Health}, is_public=True),
    Operation(
        "GET", "/readyz", "Whether store and broker answer", {200: shapes.Health}, is_public=True, refusals=(503,)
    ),
    Operation("GET", "/openapi.json", "This document", {200: {"type": "object"}}, is_public=True),
    Operation(
        "POST",
        "/api/finetune",
        "Submit a job",
        {202: shapes.Submitted},
        body=FinetuneRequest,
        parameters=(KEY,),
        refusals=(422,),
    ),
    Operation(
        "POST",
        "/v1/fine_tuning/jobs",
        "Create a job",
        {200: shapes.JobObject},
        body=CreateJob,
        parameters=(KEY,),
        refusals=(422,),
    ),
    Operation(
        "GET",
        "/v1/fine_tuning/jobs",
        "List jobs, newest first",
        {200: Page(shapes.JobObject)},
        parameters=(AFTER, LIMIT, METADATA),
    ),
    Operation(
        "POST",
        "/v1/fine_tuning/jobs/estimate",
        "What a job would take and cost",
        {200: shapes.EstimateObject},
        body=CreateJob,
        refusals=(404,),
    ),
    Operation(
        "GET",
        _JOB,
        "Retrieve a job, or wait until it changes",
        {200: shapes.JobObject, 304: None},
        parameters=(TAG, WAIT),
    ),
    Operation("POST", f"{_JOB}/cancel", "Cancel a job", _JOB_OBJECT, refusals=(409,)),
    Operation("POST", f"{_JOB}/pause", "Stop a job with a checkpoint", _JOB_OBJECT, refusals=(409,)),
    Operation("POST", f"{_JOB}/resume", "Let a paused job go on", _JOB_OBJECT, refusals=(409,)),
    Operation(
        "GET",
        f"{_JOB}/events",
        "The history of a job, as pages or as a stream until it ends",
        {200: Page(shapes.EventObject)},
        parameters=(AFTER, LIMIT, AS_STREAM, LAST_EVENT),
        others={STREAM: "events with their ids, then `data: [DONE]`"},
    ),
    Operation(
        "GET",
        f"{_JOB}/checkpoints",
        "Checkpoints of a job, newest first",
        {200: Page(shapes.CheckpointObject)},
        parameters=(AFTER, LIMIT),
    ),
    Operation("GET", f"{_JOB}/preview", "First rows as the training sees them", {200: shapes.PreviewObject}),
    Operation(
        "GET",
        f"{_JOB}/logs",
        "What the steps of a job say, as text or as a stream until it ends",
        {200: {"type": "string"}},
        parameters=(AS_STREAM, LAST_LINE),
        content_type=TEXT,
        others={STREAM: "lines with their ids, then `data: [DONE]`"},
    ),
    Operation(
        "GET", "/v1/fine_tuning/models/limits", "What jobs over each model may ask for", {200: shapes.LimitsList}
    ),
    Operation("GET", "/v1/models", "What `model` may name", {200: Page(shapes.ModelObject)}),
    Operation("GET", "/v1/models/{model}", "Retrieve a model", {200: shapes.ModelObject}),
    Operation("DELETE", "/v1/models/{model}", "Always refused: Git is the registry of models", {}, refusals=(403,)),
    Operation("POST", "/v1/files", "Upload a file", {200: shapes.FileObject}, body=UPLOADED, body_type=FORM),
    Operation(
        "GET",
        "/v1/files",
        "List files, newest first",
        {200: Page(shapes.FileObject)},
        parameters=(AFTER, FILE_LIMIT, PURPOSE),
    ),
    Operation("GET", "/v1/files/{file}", "Retrieve a file's data", {200: shapes.FileObject}),
    Operation("DELETE", "/v1/files/{file}", "Delete a file", {200: shapes.DeletedFile}, refusals=(403,)),
    Operation(
        "GET",
        "/v1/files/{file}/content",
        "A file's bytes",
        {200: {"type": "string", "format": "binary"}},
        content_type=BYTES,
    ),
    Operation("POST", "/v1/uploads", "Announce a big file", {200: shapes.UploadObject}, body=CreateUpload),
    Operation(
        "POST",
        "/v1/uploads/{upload}/complete",
        "Say that the bytes have been sent",
        {200: shapes.UploadObject},
        body=CompleteUpload,
        refusals=(409,),
    ),
    Operation("POST", "/v1/uploads/{upload}/cancel", "Drop an upload", {200: shapes.UploadObject}),
    Operation("GET", "/v1/webhooks/keys", "Keys that sign webhooks", {200: Page(shapes.WebhookKey)}),
    Operation(
        "POST",
        "/v1/webhooks/keys/rotate",
        "Draw a new key; the old one signs on for a day",
        {201: shapes.NewWebhookKey},
    ),
    Operation(
        "GET",
        "/v1/webhooks/deliveries",
        "Deliveries, newest first",
        {200: Page(shapes.Delivery)},
        parameters=(AFTER, LIMIT),
    ),
    Operation("POST", "/v1/webhooks/deliveries/{delivery}/replay", "Send a delivery again", {202: shapes.Delivery}),
)
