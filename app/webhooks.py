"""The sender of webhooks: takes due deliveries from the outbox, signs and posts them, and notes what came of it.

Rounds only take up work. Sending happens beside them, so that a slow receiver holds up its own deliveries alone.
"""

import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial

import anyio.to_thread
from anyio.from_thread import start_blocking_portal
from opentelemetry.trace import SpanKind

from app.delivery.posting import Answer, Post, Unanswered
from app.delivery.schedule import Verdict, asked_wait, judge
from app.delivery.signing import SigningKeys, signature
from app.directory import Directory
from app.metrics import Metrics
from app.store.deliveries import Delivery
from app.store.engine import StoreUnavailable
from app.store.outbox import Fault, Outbox, Taken
from app.store.webhook_keys import WebhookKeys
from app.telemetry import Span, Tracing

MOST_AT_ONCE = 200  # attempts of this process; far fewer of one tenant (app/store/outbox.py)
GRACE_SECONDS = 5.0  # for what is on its way when the process is told to stop

_log = logging.getLogger(__name__)


class Webhooks:
    """One sender. Collaborators are given once, in wiring.py."""

    def __init__(  # noqa: PLR0913
        self,
        *,
        outbox: Outbox,
        generations: WebhookKeys,
        signing: SigningKeys,
        directory: Directory,
        post: Post,
        tracing: Tracing,
        metrics: Metrics | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """clock: Unix seconds."""
        self._outbox = outbox
        self._generations = generations
        self._signing = signing
        self._directory = directory
        self._post = post
        self._tracing = tracing
        self._metrics = metrics
        self._clock = clock
        self._sending: set[Future[None]] = set()
        self._open = ExitStack()
        self._loop = self._open.enter_context(start_blocking_portal())

    def round(self) -> None:
        """Take up what is due. Raises StoreUnavailable, and what broke an attempt by our own fault."""
        ended = {future for future in self._sending if future.done()}
        self._sending -= ended
        for future in ended:
            future.result()
        room, at = MOST_AT_ONCE - len(self._sending), self._now()
        if room:
            for taken in self._outbox.take(at=at, limit=room):
                self._sending.add(self._loop.start_task_soon(self._attempt, taken))

    def rest(self, seconds: float) -> bool:
        """Wait until nothing is on its way. False: something still is."""
        return not wait(self._sending, timeout=seconds).not_done

    def close(self) -> None:
        """End; what is on its way gets a moment, and is due again once its lease has run out."""
        self.rest(GRACE_SECONDS)
        for future in self._sending:
            future.cancel()
        self._open.close()

    async def _attempt(self, taken: Taken) -> None:
        delivery = taken.delivery
        attributes = {"server.address": delivery.host, "tenon.job": delivery.job, "tenon.webhook": delivery.id}
        with self._tracing.span("deliver webhook", taken.traceparent, kind=SpanKind.CLIENT, **attributes) as span:
            try:
                outcome = await self._send(delivery, span)
            except StoreUnavailable as error:
                _log.warning("webhook %s: what came of it is not kept, it is sent again: %s", delivery.id, error)
                return
            span.put(**{"tenon.outcome": outcome})
            _log.info("webhook %s to %s: %s in attempt %d", delivery.id, delivery.host, outcome, delivery.attempts)
        if self._metrics is not None and outcome != "put_off":
            self._metrics.delivery(delivery.tenant, outcome)

    async def _send(self, delivery: Delivery, span: Span) -> str:
        """The state that the delivery is in afterwards, `put_off` when it is to be sent again."""
        tenant = self._directory.tenant(delivery.tenant)
        if tenant is None or delivery.host not in tenant.callbacks:
            error = f"{delivery.host} is not among callbacks of tenants/{delivery.tenant}.yaml any more; add it there"
            await anyio.to_thread.run_sync(partial(self._outbox.refuse, delivery, error=error))
            return "refused"
        headers = await anyio.to_thread.run_sync(self._headers, delivery)
        try:
            answer = await self._post(
                delivery.url, headers={**headers, "traceparent": span.traceparent}, body=delivery.body
            )
        except Unanswered as unanswered:
            return await anyio.to_thread.run_sync(self._fail, delivery, Fault(str(unanswered)))
        return await anyio.to_thread.run_sync(self._note, delivery, answer)

    def _headers(self, delivery: Delivery) -> dict[str, str]:
        at = self._now()
        live = self._generations.live(delivery.tenant, at=at)
        secrets = [self._signing.secret(delivery.tenant, generation) for generation in live]
        timestamp = int(at.timestamp())
        signed = signature(secrets, identifier=delivery.id, timestamp=timestamp, body=delivery.body)
        return {
            "Content-Type": "application/json",
            "User-Agent": "tenon-webhooks/1",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signed,
        }

    def _note(self, delivery: Delivery, answer: Answer) -> str:
        at, status = self._now(), answer.status
        match judge(status):
            case Verdict.DELIVERED:
                self._outbox.deliver(delivery, status=status, at=at)
                return "delivered"
            case Verdict.GONE:
                self._outbox.disable(delivery, status=status, at=at)
                return "refused"
            case Verdict.FAILED:
                asked = asked_wait(status, answer.retry_after, now=at)
                return self._fail(delivery, Fault(f"the receiver answered {status}", status, asked))

    def _fail(self, delivery: Delivery, fault: Fault) -> str:
        put_off = self._outbox.fail(delivery, fault, at=self._now(), jitter=random.random())  # noqa: S311
        return "put_off" if put_off else "given_up"

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
