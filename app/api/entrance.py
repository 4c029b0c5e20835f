"""The entrance of every route: who calls, and whether the tenant's rate admits one more request."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request

from app.api.errors import Problem
from app.contract.directory import TenantEntry
from app.directory import Directory
from app.identity.caller import Caller, Callers, Unauthenticated


@dataclass
class RateLimit:
    """A token bucket per tenant that holds one second's worth of requests; of this process alone."""

    clock: Callable[[], float] = time.monotonic  # seconds
    _levels: dict[str, tuple[float, float]] = field(default_factory=dict)  # tenant -> (tokens, as of)

    def wait_seconds(self, tenant: str, per_second: int) -> float:
        """Take a token: 0. When there is none: the seconds until there is one."""
        now = self.clock()
        tokens, as_of = self._levels.get(tenant, (float(per_second), now))
        tokens = min(float(per_second), tokens + (now - as_of) * per_second)
        wait = max(0.0, (1 - tokens) / per_second)
        self._levels[tenant] = (tokens if wait else tokens - 1, now)
        return wait


@dataclass(frozen=True)
class Visitor:
    """A caller with its tenant's entry, as every route needs them."""

    caller: Caller
    tenant: TenantEntry


class Entrance:
    """Called first by each route but the health check."""

    def __init__(self, *, callers: Callers, directory: Directory, rates: RateLimit) -> None:
        self._callers = callers
        self._directory = directory
        self._rates = rates

    def admit(self, request: Request) -> Visitor:
        """Raises Unauthenticated, or Problem 429 with the wait."""
        caller = self._callers.of(request.headers)
        tenant = self._directory.tenant(caller.tenant)
        if tenant is None:  # removed since the key was looked up
            raise Unauthenticated("the tenant was removed")
        most = tenant.limits.requests_per_second
        if wait := self._rates.wait_seconds(tenant.id, most):
            text = f"more than {most} requests per second; wait, or raise limits.requestsPerSecond of the tenant file"
            headers = {"Retry-After": str(math.ceil(wait)), "retry-after-ms": str(math.ceil(wait * 1000))}
            raise Problem(429, "rate_limit_exceeded", text, headers=headers)
        return Visitor(caller, tenant)
