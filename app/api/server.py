"""The ingest API as one ASGI application. It knows its collaborators by what they do; wiring.py chooses them."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from app.api.correlation import Correlation
from app.api.entrance import Entrance, RateLimit
from app.api.errors import HANDLERS
from app.api.events import Events
from app.api.files import FileRoutes
from app.api.finetune import Finetune, Ingest, Rows
from app.api.openai import FineTuning, Models
from app.broker.queue import Publisher
from app.buckets import Buckets
from app.directory import Directory
from app.identity.caller import Callers
from app.jobs.ids import Ids
from app.telemetry import Tracing


def build(
    *,
    directory: Directory,
    publisher: Publisher,
    tracing: Tracing,
    rows: Rows | None,
    buckets: Buckets | None,
    ids: Ids | None = None,
) -> ASGIApp:
    """The application. Without rows (serverless, no store in reach) it serves `POST /api/finetune` and models only."""
    drawn = ids or Ids()
    entrance = Entrance(callers=Callers(directory), directory=directory, rates=RateLimit())
    ingest = Ingest(directory=directory, publisher=publisher, rows=rows, tracing=tracing, ids=drawn)
    routes = [
        Route("/healthz", healthy, methods=["GET"]),
        Route("/api/finetune", Finetune(entrance=entrance, ingest=ingest).submit, methods=["POST"]),
        Route("/v1/models", Models(entrance=entrance, directory=directory).list, methods=["GET"]),
    ]
    if rows is not None:
        jobs = FineTuning(entrance=entrance, ingest=ingest, directory=directory, jobs=rows.jobs)
        routes += _job_routes(jobs, Events(entrance=entrance, jobs=rows.jobs))
        if buckets is not None:
            routes += _file_routes(FileRoutes(entrance=entrance, files=rows.files, buckets=buckets, ids=drawn))
    application = Starlette(routes=routes, exception_handlers=HANDLERS)
    application.router.redirect_slashes = False
    return Correlation(application, tracing)


def _job_routes(jobs: FineTuning, events: Events) -> list[Route]:
    base = "/v1/fine_tuning/jobs"
    return [
        Route(base, jobs.create, methods=["POST"]),
        Route(base, jobs.list, methods=["GET"]),
        Route(f"{base}/{{job}}", jobs.retrieve, methods=["GET"]),
        Route(f"{base}/{{job}}/cancel", jobs.cancel, methods=["POST"]),
        Route(f"{base}/{{job}}/events", events.list, methods=["GET"]),
    ]


def _file_routes(files: FileRoutes) -> list[Route]:
    return [
        Route("/v1/files", files.create, methods=["POST"]),
        Route("/v1/files", files.list, methods=["GET"]),
        Route("/v1/files/{file}", files.retrieve, methods=["GET"]),
        Route("/v1/files/{file}/content", files.content, methods=["GET"]),
    ]


async def healthy(_request: Request) -> Response:
    """The process serves; components answer for themselves, so that none of them can restart it."""
    return JSONResponse({"status": "ok"})
