"""Where the steps report to: `POST STATUS_PATH` in the form of Hugging Face's KubeflowCallback.

The bearer token is the attempt's own, or its pod's, so a step can speak for no other tenant's job. What a step tells
is a tenant's word: it is bounded in size, number and rate, and decides nothing but that job's own figures.
"""

import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Annotated

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.accounting import Accounting
from app.contract.internal import STATUS_PATH
from app.contract.job import workflow_name
from app.metrics import Metrics
from app.store.attempts import Attempts
from app.store.checkpoints import Checkpoints
from app.store.engine import StoreUnavailable
from app.workflows.workflow import Workflows, WorkflowsUnavailable

MOST_BYTES = 64 * 1024
MOST_NUMBERS = 300  # that are kept of a job; names beyond them are not new ones' to take
PER_SECOND, BURST = 2.0, 20.0  # reports of one attempt
MOST_STEP = 2**31 - 1
MOST_REMEMBERED = 10_000  # attempts whose rate is known
CHECKPOINT = "checkpointStep"  # metric: a checkpoint of this optimizer step was saved; the others are of that moment
_OF_CHECKPOINT = ("step", "loss", "evalLoss")
_TEXT = r"^[^\x00-\x1f\x7f]*$"  # a control character has no meaning here, and PostgreSQL refuses one of them
_NUMBER = re.compile(r"-?\d{1,20}(\.\d{1,20})?([eE][+-]?\d{1,3})?")


class _Form(BaseModel):
    """Unknown keys pass: the form is other people's and grows."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class Metric(_Form):
    """One figure; libraries send numbers as text."""

    name: str = Field(min_length=1, max_length=64, pattern=_TEXT)
    value: Annotated[str, Field(max_length=512, pattern=_TEXT)] | float

    @property
    def figure(self) -> str | float:
        """A number where it is a finite one; JSON has no others."""
        text = str(self.value)
        return number if _NUMBER.fullmatch(text) and math.isfinite(number := float(text)) else text


class TrainerStatus(_Form):
    """What a step knows of itself."""

    last_updated_time: str | None = None
    progress_percentage: float | None = Field(None, ge=0, le=100)
    estimated_remaining_seconds: float | None = Field(None, ge=0, le=1e9)
    metrics: list[Metric] = Field(default_factory=list, max_length=256)


class StatusReport(_Form):
    """The body."""

    trainer_status: TrainerStatus


class Rates:
    """How often an attempt may report; of this process alone. A step of ours reports every two seconds at most."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._levels: dict[str, tuple[float, float]] = {}  # workflow -> (tokens, as of)

    def admits(self, workflow: str) -> bool:
        now = self._clock()
        tokens, at = self._levels.get(workflow, (BURST, now))
        tokens = min(BURST, tokens + (now - at) * PER_SECOND)
        if len(self._levels) >= MOST_REMEMBERED:
            self._levels.clear()
        self._levels[workflow] = (tokens - 1 if tokens >= 1 else tokens, now)
        return tokens >= 1


class Reporting:
    """Takes reports and keeps them with the job."""

    def __init__(
        self,
        *,
        attempts: Attempts,
        workflows: Workflows,
        checkpoints: Checkpoints,
        accounting: Accounting,
        metrics: Metrics,
    ) -> None:
        self.attempts = attempts
        self.workflows = workflows
        self.checkpoints = checkpoints
        self.accounting = accounting
        self.metrics = metrics
        self.rates = Rates()

    def app(self) -> Starlette:
        path = STATUS_PATH.replace("{attempt}", "{attempt:int}")
        return Starlette(routes=[Route(path, self.take, methods=["POST"]), Route("/healthz", _healthy)])

    async def take(self, request: Request) -> Response:
        """Take a report, and count the answer.

        200 (senders know no other success); 400, 401, 403, 413, 429, or 503 when the report could not be kept.
        """
        began = time.monotonic()
        try:
            answer = await self._take(request)
        except _RefusedError as refused:
            answer = JSONResponse({"detail": str(refused)}, status_code=refused.status)
        seconds = time.monotonic() - began
        self.metrics.request(self.metrics.service, answer.status_code, route=STATUS_PATH, seconds=seconds)
        return answer

    async def _take(self, request: Request) -> Response:
        """Raises _RefusedError."""
        job, attempt = request.path_params["job"], request.path_params["attempt"]
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _RefusedError(401, "authorization: missing; send the attempt's token as Bearer")
        try:
            name = workflow_name(job, attempt)
            if not await anyio.to_thread.run_sync(self.workflows.admits, name, token):
                raise _RefusedError(403, "authorization: the token is not this attempt's")
            if not self.rates.admits(name):
                raise _RefusedError(429, f"more than {PER_SECOND:g} reports per second; send fewer")
            report = StatusReport.model_validate_json(await _body(request))
            await anyio.to_thread.run_sync(self._keep, job, attempt, report.trainer_status)
        except ValidationError as error:
            faults = error.errors(include_input=False, include_url=False)
            text = "; ".join(f"{fault['loc']}: {fault['msg']}" for fault in faults)
            raise _RefusedError(400, text) from error
        except (StoreUnavailable, WorkflowsUnavailable) as error:
            raise _RefusedError(503, str(error)) from error
        return JSONResponse({})

    def _keep(self, job: str, number: int, status: TrainerStatus) -> None:
        """What is reported of an attempt that has ended, or never began, is dropped."""
        attempt = self.attempts.find(job, number)
        if attempt is None or attempt.finished_at is not None:
            return
        numbers = {metric.name: metric.figure for metric in status.metrics}
        position = {
            "progressPercentage": status.progress_percentage,
            "estimatedRemainingSeconds": status.estimated_remaining_seconds,
        }
        known = {name: value for name, value in position.items() if value is not None}
        kept = _bounded({**numbers, **known}, attempt.job.numbers)
        if not self.attempts.progress(job, number, numbers=kept, data={**known, **numbers}):
            return
        self.accounting.reported(attempt, numbers)
        step = numbers.get(CHECKPOINT)
        if isinstance(step, float) and 0 <= step <= MOST_STEP:
            metrics = {name: numbers[name] for name in _OF_CHECKPOINT if name in numbers}
            self.checkpoints.add(attempt, int(step), {**metrics, "step": int(step)})


class _RefusedError(Exception):
    """A report that is not taken, and how that is said."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


async def _body(request: Request) -> bytes:
    """Raises _RefusedError."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise _RefusedError(413, f"body: more than {MOST_BYTES} bytes")
    return bytes(body)


def _bounded(numbers: Mapping[str, str | float], before: Mapping[str, str | float]) -> dict[str, str | float]:
    """Those that the job's row has room for: known names, and new ones while there are few."""
    room = MOST_NUMBERS - len(before)
    new = [name for name in numbers if name not in before][: max(room, 0)]
    return {name: value for name, value in numbers.items() if name in before or name in new}


def _healthy(_request: Request) -> Response:
    return PlainTextResponse("ok\n")
