"""Callers inside the cluster: tokens of service accounts in a tenant's namespaces, reviewed by the API server.

Kubernetes itself attests them: a pod gets one by a projected volume with the audience API_AUDIENCE. The namespace leads
to the tenant; nothing that a tenant may write in its objects does.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import anyio.to_thread

from app.apiserver import ApiServerUnavailable, RefusedError, Reviewed
from app.contract.internal import API_AUDIENCE
from app.directory import Directory
from app.identity.caller import Caller, IssuerUnavailable, Unauthenticated
from app.identity.oidc import unverified

CACHE_SECONDS = 30.0  # a token of a deleted pod or account is refused this much later at most
REVIEWS_PER_SECOND = 20.0  # however many tokens strangers make up
MOST_CACHED = 4096
MOST_BYTES = 8192  # of a token
_SUBJECT = "system:serviceaccount:"

_log = logging.getLogger(__name__)


class Reviews(Protocol):
    """The API server, as far as tokens need it."""

    def review_token(self, token: str, *, audiences: tuple[str, ...]) -> Reviewed | None:
        """Whose token it is. Raises ApiServerUnavailable, RefusedError."""


@dataclass(frozen=True)
class _Answer:
    reviewed: Reviewed | None
    until: float


class ServiceAccountTokens:
    """`Tokens` of service accounts. What the API server said, yes or no, is kept for a while by the token's hash."""

    def __init__(self, directory: Directory, reviews: Reviews, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._reviews = reviews
        self._clock = clock
        self._answers: dict[bytes, _Answer] = {}
        self._budget, self._as_of = REVIEWS_PER_SECOND, clock()

    async def caller(self, token: str) -> Caller | None:
        if len(token) > MOST_BYTES or not _is_meant_for_us(token):
            return None
        reviewed = await self._reviewed(token)
        if reviewed is None:
            raise Unauthenticated(f"the API server takes no such token for audience {API_AUDIENCE}; get a new one")
        tenant = self._tenant(reviewed.namespace)
        if tenant is None:
            raise Unauthenticated("the token's namespace is no tenant's; call from a namespace of your tenant")
        return Caller(tenant, f"account:{reviewed.namespace}/{reviewed.account}")

    async def _reviewed(self, token: str) -> Reviewed | None:
        key, now = hashlib.sha256(token.encode()).digest(), self._clock()
        if (known := self._answers.get(key)) and known.until > now:
            return known.reviewed
        self._spend(now)
        try:
            reviewed = await anyio.to_thread.run_sync(self._review, token)
        except (ApiServerUnavailable, RefusedError) as error:
            raise IssuerUnavailable(f"TokenReview: {error}") from error
        if len(self._answers) >= MOST_CACHED:
            self._answers.clear()
        self._answers[key] = _Answer(reviewed, now + CACHE_SECONDS)
        return reviewed

    def _review(self, token: str) -> Reviewed | None:
        return self._reviews.review_token(token, audiences=(API_AUDIENCE,))

    def _spend(self, now: float) -> None:
        """Raises IssuerUnavailable when too many new tokens came at once: the API server serves others too."""
        self._budget = min(REVIEWS_PER_SECOND, self._budget + (now - self._as_of) * REVIEWS_PER_SECOND)
        self._as_of = now
        if self._budget < 1:
            raise IssuerUnavailable("too many tokens that were never seen came at once")
        self._budget -= 1

    def _tenant(self, namespace: str) -> str | None:
        """Whose training or serving namespace it is."""
        for tenant in self._directory.tenants():
            if namespace in {tenant.training_namespace, f"{tenant.id}-serve"}:
                return tenant.id
        return None


def _is_meant_for_us(token: str) -> bool:
    """By the token's own word, so that others cost the API server nothing."""
    claims = unverified(token)
    audience, subject = claims.get("aud"), claims.get("sub")
    return str(subject).startswith(_SUBJECT) and (
        audience == API_AUDIENCE or (isinstance(audience, list) and API_AUDIENCE in audience)
    )
