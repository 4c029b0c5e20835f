"""Where the steps report to: `POST STATUS_PATH` in the form of Hugging Face's KubeflowCallback.

The bearer token is the attempt's own, so a step can speak for no other job.
"""

import re
import time

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.contract.internal import STATUS_PATH
from app.contract.job import workflow_name
from app.metrics import Metrics
from app.store.attempts import Attempts
from app.store.engine import StoreUnavailable
from app.workflows.workflow import Workflows, WorkflowsUnavailable

MOST_BYTES = 64 * 1024
_NUMBER = re.compile(r"-?\d{1,20}(\.\d{1,20})?([eE][+-]?\d{1,3})?")


class _Form(BaseModel):
    """Unknown keys pass: the form is other people's and grows."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class Metric(_Form):
    """One figure; libraries send numbers as text."""

    name: str = Field(min_length=1, max_length=64)
    value: str | float = Field(max_length=512)

    @property
    def figure(self) -> str | float:
        return float(self.value) if _NUMBER.fullmatch(str(self.value)) else str(self.value)


class TrainerStatus(_Form):
    """What a step knows of itself."""

    last_updated_time: str | None = None
    progress_percentage: float | None = Field(None, ge=0, le=100)
    estimated_remaining_seconds: float | None = Field(None, ge=0)
    metrics: list[Metric] = Field(default_factory=list, max_length=256)


class StatusReport(_Form):
    """The body."""

    trainer_status: TrainerStatus


class Reporting:
    """Takes reports and keeps them with the job."""

    def __init__(self, *, attempts: Attempts, workflows: Workflows, metrics: Metrics | None = None) -> None:
        self.attempts = attempts
        self.workflows = workflows
        self.metrics = metrics

    def app(self) -> Starlette:
        path = STATUS_PATH.replace("{attempt}", "{attempt:int}")
        return Starlette(routes=[Route(path, self.take, methods=["POST"]), Route("/healthz", _healthy)])

    async def take(self, request: Request) -> Response:
        """Take a report, and count the answer."""
        began = time.monotonic()
        answer = await self._take(request)
        if self.metrics is not None:
            self.metrics.request(
                self.metrics.service, answer.status_code, route=STATUS_PATH, seconds=time.monotonic() - began
            )
        return answer

    async def _take(self, request: Request) -> Response:
        """200 (senders know no other success); 400, 401, 403, 413, or 503 when the report could not be kept."""
        job, attempt = request.path_params["job"], request.path_params["attempt"]
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return _refused(401, "authorization: missing; send the attempt's token as Bearer")
        try:
            if not await anyio.to_thread.run_sync(self.workflows.admits, workflow_name(job, attempt), token):
                return _refused(403, "authorization: the token is not this attempt's")
            body = bytearray()
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    return _refused(413, f"body: more than {MOST_BYTES} bytes")
            report = StatusReport.model_validate_json(bytes(body))
            await anyio.to_thread.run_sync(self._keep, job, attempt, report.trainer_status)
        except ValidationError as error:
            return _refused(400, "; ".join(f"{fault['loc']}: {fault['msg']}" for fault in error.errors()))
        except (StoreUnavailable, WorkflowsUnavailable) as error:
            return _refused(503, str(error))
        return JSONResponse({})

    def _keep(self, job: str, attempt: int, status: TrainerStatus) -> None:
        numbers = {metric.name: metric.figure for metric in status.metrics}
        position = {
            "progressPercentage": status.progress_percentage,
            "estimatedRemainingSeconds": status.estimated_remaining_seconds,
        }
        known = {name: value for name, value in position.items() if value is not None}
        self.attempts.progress(job, attempt, numbers={**numbers, **known}, data={**known, **numbers})


def _refused(status: int, text: str) -> Response:
    return JSONResponse({"detail": text}, status_code=status)


def _healthy(_request: Request) -> Response:
    return PlainTextResponse("ok\n")
