"""A client of the Kubernetes API: who we are, requests at a bounded rate, and reviews of service-account tokens.

The `kubernetes` package does the same in 126 MB. What follows objects as they change is app/mirror.py.
"""

import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.kubeconfig import Access

TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 - a path
MERGE_PATCH = "application/merge-patch+json"
REQUEST_SECONDS = 30.0
MOST_TRIES = 4  # of a request that the server had no time for
MOST_WAIT_SECONDS = 30.0  # whatever Retry-After says
RATE, BURST = 200.0, 200.0  # requests per second of one process; below the server's own limits on writes
_POD = "authentication.kubernetes.io/pod-name"  # what TokenReview says of a token that the kubelet mounted
_ACCOUNT = "system:serviceaccount:"


class ApiServerUnavailable(Exception):  # noqa: N818 - the name is the fact
    """The server cannot be reached or has no time; what was asked may or may not have been done."""


class RefusedError(Exception):
    """The server said no, and would say so again."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason  # the API's own: NotFound, AlreadyExists, Conflict, Forbidden, Invalid


@dataclass(frozen=True)
class Reviewed:
    """A service account whose token is genuine; `pod` where the token was mounted into one."""

    username: str
    namespace: str
    account: str
    pod: str | None = None


class Rate:
    """A token bucket that several threads share, and that the server may close for a while."""

    def __init__(
        self,
        per_second: float,
        burst: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._per_second, self._burst = per_second, burst
        self._clock, self._wait = clock, wait
        self._lock = threading.Lock()
        self._tokens, self._at = burst, clock()

    def take(self) -> None:
        """Return when a request may be sent."""
        with self._lock:
            now = self._clock()
            if now > self._at:
                self._tokens, self._at = min(self._burst, self._tokens + (now - self._at) * self._per_second), now
            self._tokens -= 1
            seconds = self._at - now + max(0.0, -self._tokens / self._per_second)
        if seconds > 0:
            self._wait(seconds)

    def close(self, seconds: float) -> None:
        """Let nobody pass for this long: the server asked for it."""
        with self._lock:
            self._at = max(self._at, self._clock() + seconds)
            self._tokens = min(self._tokens, 0.0)


class ApiServer:
    """Synchronous, for any number of threads."""

    def __init__(self, access: Access, *, rate: Rate | None = None) -> None:
        self.access = access
        self.rate = rate or Rate(RATE, BURST)
        self._http = httpx.Client(
            base_url=access.url, verify=access.trust, timeout=REQUEST_SECONDS, trust_env=False, limits=_LIMITS
        )

    def close(self) -> None:
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """The object that the server answers with.

        429 and 503 with Retry-After are waited out, by all threads, and tried again a bounded number of times.
        Raises RefusedError, ApiServerUnavailable.
        """
        told = ""
        for _ in range(MOST_TRIES):
            self.rate.take()
            answer = self._send(method, path, query=query, body=body, content_type=content_type)
            if answer.is_success:
                return dict(answer.json())
            if answer.status_code < 500 and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:  # noqa: PLR2004
                raise refusal(answer)
            told = f"{answer.status_code} {refusal(answer)}"
            if (seconds := _retry_after(answer)) is None:
                break
            self.rate.close(seconds)
        raise ApiServerUnavailable(f"{method} {path}: {told}; it is tried again")

    def review_token(self, token: str, *, audiences: tuple[str, ...]) -> Reviewed | None:
        """Whose token it is; None when it is forged, has expired, is for another audience or no service account's."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
        answer = self.request(
            "POST", TOKEN_REVIEWS, body={**review, "spec": {"token": token, "audiences": list(audiences)}}
        )
        status = answer.get("status", {})
        user = status.get("user", {})
        username = str(user.get("username", ""))
        # a server that knows no audiences answers with none, and must not be believed
        meant = set(audiences) & set(status.get("audiences", ()))
        if status.get("authenticated") is not True or not meant or not username.startswith(_ACCOUNT):
            return None
        namespace, _, account = username.removeprefix(_ACCOUNT).partition(":")
        pods = user.get("extra", {}).get(_POD) or [None]
        return Reviewed(username, namespace, account, pods[0])

    def _send(
        self, method: str, path: str, *, query: Mapping[str, str] | None, body: Any, content_type: str
    ) -> httpx.Response:
        headers = {"Content-Type": content_type} if body is not None else {}
        try:
            token = self.access.headers()
            return self._http.request(method, path, params=query, json=body, headers={**token, **headers})
        except (httpx.TransportError, ssl.SSLError, OSError) as error:
            text = f"{self.access.url}: {type(error).__name__}: {error}; see that the API server is up and reachable"
            raise ApiServerUnavailable(text) from error


_LIMITS = httpx.Limits(max_connections=32, max_keepalive_connections=32, keepalive_expiry=30.0)


def refusal(answer: httpx.Response) -> RefusedError:
    """The Status object that the server sent, as an error."""
    try:
        body = answer.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    text = str(body.get("message") or answer.reason_phrase)
    return RefusedError(answer.status_code, str(body.get("reason", "")), text)


def _retry_after(answer: httpx.Response) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return min(float(text), MOST_WAIT_SECONDS) if text.isdecimal() else None


def from_kubeconfig_or_pod(kubeconfig: Path | None, environment: Mapping[str, str]) -> ApiServer:
    """Raises AccessError."""
    return ApiServer(Access.of(kubeconfig, environment))
