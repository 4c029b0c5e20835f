"""`/readyz`: whether requests should be sent here. Kubernetes asks it; nobody's identity is needed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.api.errors import RETRY_SECONDS, Problem
from app.broker.queue import BrokerUnavailable
from app.store.engine import StoreUnavailable

LOOK_AGAIN_SECONDS = 1.0  # so that asking often costs the components nothing


@dataclass(frozen=True)
class Probe:
    """A component. `ask` returns when it answers and raises StoreUnavailable or BrokerUnavailable when it does not."""

    name: str
    ask: Callable[[], None]


class Readiness:
    """The route."""

    def __init__(self, probes: Sequence[Probe], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._probes = probes
        self._clock = clock
        self._looked_at: float | None = None
        self._silent: list[str] = []

    async def answer(self, request: Request) -> Response:
        """200, or 503 with the names of what does not answer."""
        if self._looked_at is None or self._clock() - self._looked_at >= LOOK_AGAIN_SECONDS:
            self._looked_at = self._clock()
            self._silent = await anyio.to_thread.run_sync(self._look)
        if not self._silent:
            return JSONResponse({"status": "ready"})
        text = f"{', '.join(self._silent)} cannot be reached; requests are answered 503 until then"
        refused = Problem(503, "not_ready", text, headers={"Retry-After": str(RETRY_SECONDS)})
        return refused.response(request.scope["path"])

    def _look(self) -> list[str]:
        silent = []
        for probe in self._probes:
            try:
                probe.ask()
            except (StoreUnavailable, BrokerUnavailable):
                silent.append(probe.name)
        return silent
