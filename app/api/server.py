"""The ingest API as one ASGI application. It knows its collaborators by what they do; wiring.py chooses them."""

from collections.abc import Collection
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api import openapi
from app.api.correlation import Correlation
from app.api.cors import CrossOrigin
from app.api.entrance import Entrance
from app.api.errors import HANDLERS
from app.api.finetune import Finetune, Ingest, Rows
from app.api.guarded import Guarded
from app.api.models import Models
from app.api.rates import RateLimit
from app.api.readiness import Probe, Readiness
from app.api.routes import fine_tuning
from app.api.webhooks import WebhookRoutes
from app.audit import LoggedTrail, Trail
from app.buckets import Buckets
from app.directory import Directory
from app.identity.caller import Callers, Tokens
from app.intake import Intake
from app.jobs.ids import Ids
from app.metrics import Metrics
from app.telemetry import Tracing

PUBLIC = frozenset({"/healthz", "/readyz", "/openapi.json"})  # paths that ask nobody who calls
SUBMIT = "/api/finetune"


@dataclass(frozen=True)
class Border:
    """How the API meets those who call it."""

    tokens: tuple[Tokens, ...] = ()  # kinds of JWT beside API keys
    trail: Trail = field(default_factory=LoggedTrail)
    origins: Collection[str] = ()  # of pages that may call from a browser
    metrics: Metrics | None = None
    probes: tuple[Probe, ...] = ()  # what has to answer before requests are sent here


def build(
    *,
    directory: Directory,
    intake: Intake,
    tracing: Tracing,
    rows: Rows | None,
    buckets: Buckets | None,
    border: Border | None = None,
) -> ASGIApp:
    """The application. Without rows (serverless, no store in reach) it serves `POST /api/finetune` and models only."""
    met = border or Border()
    entrance = Entrance(callers=Callers(directory, *met.tokens), directory=directory, rates=RateLimit())
    ingest = Ingest(directory=directory, intake=intake, rows=rows, tracing=tracing, ids=Ids())
    routes = [
        Route("/healthz", healthy, methods=["GET"]),
        Route("/readyz", Readiness(met.probes).answer, methods=["GET"]),
        Route(SUBMIT, Finetune(entrance=entrance, ingest=ingest).submit, methods=["POST"]),
        *openapi.routes(),
        *Models(entrance=entrance, directory=directory).routes(),
    ]
    if rows is not None:
        routes += fine_tuning(entrance=entrance, ingest=ingest, directory=directory, rows=rows, buckets=buckets)
    if rows is not None and rows.webhooks is not None:
        routes += WebhookRoutes(entrance=entrance, rows=rows.webhooks).routes()
    guarded = [_guarded(route, entrance, met.trail) for route in routes]
    application = Starlette(routes=guarded, exception_handlers=HANDLERS)
    application.router.redirect_slashes = False
    submit = next(route for route in guarded if route.path == SUBMIT)
    return Correlation(CrossOrigin(_Shortcut(submit, application), met.origins), tracing, met.metrics)


async def healthy(_request: Request) -> Response:
    """The process serves; components answer for themselves, so that none of them can restart it."""
    return JSONResponse({"status": "ok"})


def _guarded(route: Route, entrance: Entrance, trail: Trail) -> Route:
    if route.path in PUBLIC:
        return route
    inner = Guarded(route.endpoint, path=route.path, entrance=entrance, trail=trail)
    return Route(route.path, inner, methods=route.methods)


class _Shortcut:
    """The busiest route is found by comparing its path: walking the table of routes costs as much as answering."""

    def __init__(self, busiest: Route, others: Starlette) -> None:
        self._busiest = busiest
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == self._busiest.path and scope["method"] == "POST":
            scope["route"] = self._busiest
            await self._busiest.app(scope, receive, send)
        else:
            await self._others(scope, receive, send)
