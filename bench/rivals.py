"""The ingest API as its users would write it in FastAPI, Litestar and Robyn: `python -m bench.rivals NAME`.

`fastapi-own` has transactions of its own for each request, as its users would write it; the others share ours.
Each rival brings what it is: server, routing, reading and validating of the body, dependency, answer. Everything behind
is the product's own: who calls, rates, admission, ids, publisher, row, audit, trace; made by wiring.py as `python -m
app ingest` has it, from the same environment.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio.to_thread
import uvicorn
from pydantic import ValidationError
from sqlalchemy import Engine

from app import directory as tenants
from app import wiring
from app.api.entrance import Visitor
from app.api.errors import Problem
from app.api.finetune import Ingest, Rows
from app.api.rates import RateLimit
from app.audit import Audit, StoredTrail
from app.broker import envelope as wire
from app.broker.sql import SqlOutlet
from app.contract.internal import JOBS_TOPIC
from app.contract.job import FinetuneRequest, JobEnvelope
from app.identity.caller import Callers, Unauthenticated
from app.jobs.ids import Ids
from app.settings import Settings
from app.store.engine import open_store
from app.store.files import Files
from app.store.jobs import Jobs
from app.telemetry import tracing


class OwnTransactions:
    """Intake and audit trail as a service without our group commit has them: a thread and a transaction for each."""

    finds_repeats = False

    def __init__(self, engine: Engine) -> None:
        self._jobs, self._outlet, self._audit = Jobs(engine), SqlOutlet(engine), Audit(engine)

    async def take(self, envelope: JobEnvelope, *, traceparent: str, most_queued: int | None) -> bool:
        headers = wire.raw(wire.headers(envelope, traceparent=traceparent))
        key, value, now = envelope.tenant.encode(), wire.value(envelope), datetime.now(UTC)
        send = partial(self._outlet.send, key=key, headers=headers, value=value, due_at=now)
        await anyio.to_thread.run_sync(send, JOBS_TOPIC)
        make = partial(self._jobs.insert_or_ignore, traceparent=traceparent, most_queued=most_queued)
        return await anyio.to_thread.run_sync(make, envelope)

    async def note(self, **of_record: Any) -> None:
        await anyio.to_thread.run_sync(partial(self._audit.note, **of_record))


@dataclass
class Duties:
    """What every rival calls. own_transactions: behind it too, nothing is shared by requests that come at once."""

    settings: Settings
    own_transactions: bool = False

    def __post_init__(self) -> None:
        engine = open_store(self.settings.needed_store_url)
        self.directory = tenants.read(self.settings.directory_url)
        self.callers, self.rates = Callers(self.directory), RateLimit(time.monotonic)
        self.tracing = tracing("ingest", self.settings.trace_file)
        alone = OwnTransactions(engine)
        self.trail: Any = alone if self.own_transactions else StoredTrail(engine)
        self.ingest = Ingest(
            directory=self.directory,
            intake=alone if self.own_transactions else wiring.intake(self.settings, engine),
            rows=Rows(Jobs(engine), Files(engine)),
            tracing=self.tracing,
            ids=Ids(),
        )

    async def visitor(self, headers: Mapping[str, str]) -> Visitor:
        """Raises Unauthenticated, and Problem 429."""
        caller = await self.callers.of(headers)
        tenant = self.directory.tenant(caller.tenant)
        if tenant is None:
            raise Unauthenticated("the tenant was removed")
        standing = self.rates.take(tenant.id, tenant.limits.requests_per_second)
        if standing.wait_seconds:
            raise Problem(429, "rate_limit_exceeded", "wait", headers=standing.fields())
        return Visitor(caller, tenant, standing)

    async def accept(
        self, wanted: FinetuneRequest, visitor: Visitor, headers: Mapping[str, str]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Body and headers of the 202; the audit has it."""
        with self.tracing.span("POST /api/finetune", headers.get("traceparent")) as span:
            accepted = await self.ingest.accept(wanted, visitor, headers)
            job = accepted.job.id
            await self.trail.note(
                actor=visitor.caller.actor,
                tenant=visitor.tenant.id,
                action="POST /api/finetune",
                resource=f"/v1/fine_tuning/jobs/{job}",
                outcome="done",
                trace_id=span.trace_id,
            )
            said = {"Location": f"/v1/fine_tuning/jobs/{job}", "Retry-After": "5", "traceresponse": span.traceparent}
        return {"message": "Fine-tuning job accepted", "jobId": job}, {**said, **visitor.standing.fields()}


def fastapi(duties: Duties, port: int) -> None:
    from fastapi import Depends, FastAPI, Request, Response

    made = FastAPI()

    async def visitor(request: Request) -> Visitor:
        return await duties.visitor(request.headers)

    @made.post("/api/finetune", status_code=202)
    async def submit(
        wanted: FinetuneRequest,
        request: Request,
        response: Response,
        who: Visitor = Depends(visitor),  # noqa: B008, FAST002 - FastAPI's own form
    ) -> dict[str, str]:
        body, headers = await duties.accept(wanted, who, request.headers)
        response.headers.update(headers)
        return body

    _serve(made, port)


def litestar(duties: Duties, port: int) -> None:
    from litestar import Litestar, Request, Response, post
    from litestar.di import Provide

    async def visitor(request: Request[Any, Any, Any]) -> Visitor:
        return await duties.visitor(request.headers)

    @post("/api/finetune", status_code=202, dependencies={"who": Provide(visitor)})
    async def submit(data: FinetuneRequest, request: Request[Any, Any, Any], who: Any) -> Response[dict[str, str]]:
        body, headers = await duties.accept(data, who, request.headers)
        return Response(body, headers=headers)

    _serve(Litestar([submit], openapi_config=None), port)


def robyn(duties: Duties, port: int) -> None:
    from robyn import Request, Response, Robyn

    made: Any = Robyn(__file__)

    async def submit(request: Request) -> Response:
        found: Any = request.headers
        headers = {name: values[0] for name, values in found.get_headers().items()}
        who = await duties.visitor(headers)
        try:
            wanted = FinetuneRequest.model_validate_json(request.body)
        except ValidationError as error:
            return Response(status_code=400, headers={}, description=str(error))
        body, said = await duties.accept(wanted, who, headers)
        return Response(
            status_code=202, headers={**said, "content-type": "application/json"}, description=json.dumps(body)
        )

    made.post("/api/finetune")(submit)
    made.start(host="127.0.0.1", port=port, _check_port=False)


def _serve(application: Any, port: int) -> None:
    uvicorn.run(application, host="127.0.0.1", port=port, log_level="warning", access_log=False)


RIVALS: dict[str, Callable[[Duties, int], None]] = {"fastapi": fastapi, "litestar": litestar, "robyn": robyn}


def main() -> int:
    name = sys.argv.pop(1)  # Robyn reads the rest of the command line itself
    settings = Settings.from_environment(os.environ)
    rival, _, own = name.partition("-")
    RIVALS[rival](Duties(settings, own_transactions=bool(own)), settings.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
