"""`/v1/webhooks`: the tenant's signing secrets and what became of its deliveries."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.api.entrance import Entrance
from app.api.errors import Problem, not_found
from app.api.listing import page, page_of
from app.delivery.signing import SigningKeys
from app.store.deliveries import Deliveries, Delivery
from app.store.webhook_keys import Generation, WebhookKeys

KEYS = "/v1/webhooks/keys"
DELIVERIES = "/v1/webhooks/deliveries"


@dataclass(frozen=True)
class WebhookRows:
    """The store as these routes use it. Without signing keys no webhooks are sent, and there is no secret to show."""

    deliveries: Deliveries
    generations: WebhookKeys
    signing: SigningKeys | None


class WebhookRoutes:
    """The routes."""

    def __init__(self, *, entrance: Entrance, rows: WebhookRows) -> None:
        self._entrance = entrance
        self._deliveries = rows.deliveries
        self._generations = rows.generations
        self._signing = rows.signing

    def routes(self) -> list[Route]:
        return [
            Route(KEYS, self.keys, methods=["GET"]),
            Route(f"{KEYS}/rotate", self.rotate, methods=["POST"]),
            Route(DELIVERIES, self.list, methods=["GET"]),
            Route(f"{DELIVERIES}/{{delivery}}/replay", self.replay, methods=["POST"]),
        ]

    async def keys(self, request: Request) -> Response:
        """The generations; no secret is ever shown twice."""
        visitor = self._entrance.admit(request)
        found = await anyio.to_thread.run_sync(self._generations.list, visitor.tenant.id)
        return page([_key(generation) for generation in found], limit=len(found))

    async def rotate(self, request: Request) -> Response:
        """A new secret, in this answer alone. The one before it signs beside it for a day."""
        visitor = self._entrance.admit(request)
        if self._signing is None:
            text = "no webhooks are sent here; the operator sets TENON_WEBHOOK_KEY_FILE"
            raise Problem(503, "webhooks_unavailable", text, permanent=True)
        tenant = visitor.tenant.id
        made = await anyio.to_thread.run_sync(partial(self._generations.rotate, tenant, at=datetime.now(UTC)))
        body = {**_key(made), "secret": self._signing.shown(tenant, made.generation)}
        return JSONResponse(body, 201, headers={"Location": KEYS, "Cache-Control": "no-store"})

    async def list(self, request: Request) -> Response:
        visitor = self._entrance.admit(request)
        wanted = page_of(request)
        read = partial(self._deliveries.list, visitor.tenant.id, after=wanted.after, limit=wanted.limit + 1)
        found = await anyio.to_thread.run_sync(read)
        return page([_delivery(delivery) for delivery in found], limit=wanted.limit)

    async def replay(self, request: Request) -> Response:
        """202: it is sent again soon, under the same `webhook-id`."""
        visitor = self._entrance.admit(request)
        again = partial(self._deliveries.replay, visitor.tenant.id, request.path_params["delivery"])
        delivery = await anyio.to_thread.run_sync(partial(again, at=datetime.now(UTC)))
        if delivery is None:
            raise not_found("delivery")
        return JSONResponse(_delivery(delivery), 202)


def _key(generation: Generation) -> dict[str, Any]:
    return {
        "id": str(generation.generation),
        "object": "webhook.key",
        "generation": generation.generation,
        "created_at": _seconds(generation.created_at),
        "expires_at": _seconds(generation.expires_at),
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "object": "webhook.delivery",
        "type": delivery.type,
        "job_id": delivery.job,
        "url": delivery.url,
        "status": delivery.state,
        "attempts": delivery.attempts,
        "created_at": _seconds(delivery.created_at),
        "next_attempt_at": _seconds(delivery.next_at),
        "delivered_at": _seconds(delivery.delivered_at),
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
    }


def _seconds(at: datetime | None) -> int | None:
    return int(at.timestamp()) if at else None
