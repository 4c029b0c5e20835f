"""Entry of serverless platforms: the ingest API, made at the first request so that a cold import stays cheap."""

import functools
import os

from starlette.types import ASGIApp, Receive, Scope, Send

from app.metrics import Metrics
from app.settings import Settings
from app.wiring import ingest


@functools.cache
def _made() -> ASGIApp:
    return ingest(Settings.from_environment(os.environ), Metrics("ingest"))


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application. Raises SettingsError at the first request when a variable is missing."""
    await _made()(scope, receive, send)
