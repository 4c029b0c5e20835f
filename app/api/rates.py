"""Rates: a token bucket per tenant, and the two fields that tell callers where they stand."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Standing:
    """What a tenant's bucket holds after a request."""

    per_second: int  # what flows in, and the most that it holds
    tokens: float
    wait_seconds: float  # 0: the request was admitted

    def fields(self) -> dict[str, str]:
        """RateLimit fields of draft-ietf-httpapi-ratelimit-headers-10: quota, window, what is left, when it is full."""
        full = math.ceil((self.per_second - self.tokens) / self.per_second)
        return {
            "RateLimit-Policy": f'"tenant";q={self.per_second};w=1',
            "RateLimit": f'"tenant";r={max(0, math.floor(self.tokens))};t={full}',
        }


@dataclass
class RateLimit:
    """Buckets that hold one second's worth of requests; of this process alone."""

    clock: Callable[[], float] = time.monotonic  # seconds
    _levels: dict[str, tuple[float, float]] = field(default_factory=dict)  # tenant -> (tokens, as of)

    def take(self, tenant: str, per_second: int) -> Standing:
        """Take a token where there is one."""
        now = self.clock()
        tokens, as_of = self._levels.get(tenant, (float(per_second), now))
        tokens = min(float(per_second), tokens + (now - as_of) * per_second)
        wait = max(0.0, (1 - tokens) / per_second)
        tokens = tokens if wait else tokens - 1
        self._levels[tenant] = (tokens, now)
        return Standing(per_second, tokens, wait)
