"""The entrance of every route: who calls, and whether the tenant's rate admits one more request."""

import math
from dataclasses import dataclass

from starlette.requests import Request

from app.api.errors import Problem
from app.api.rates import RateLimit, Standing
from app.contract.directory import TenantEntry
from app.directory import Directory
from app.identity.caller import Caller, Callers, Unauthenticated

_VISITOR = "tenon.visitor"  # in the scope of an admitted request


@dataclass(frozen=True)
class Visitor:
    """A caller with its tenant's entry, as every route needs them."""

    caller: Caller
    tenant: TenantEntry
    standing: Standing


class Entrance:
    """Passed by each request before its route (guarded.py); the route then asks who came in."""

    def __init__(self, *, callers: Callers, directory: Directory, rates: RateLimit) -> None:
        self._callers = callers
        self._directory = directory
        self._rates = rates

    async def enter(self, request: Request) -> Visitor:
        """Raises Unauthenticated, IssuerUnavailable, or Problem 429 with the wait."""
        caller = await self._callers.of(request.headers)
        tenant = self._directory.tenant(caller.tenant)
        if tenant is None:  # removed since its credential was looked up
            raise Unauthenticated("the tenant was removed")
        standing = self._rates.take(tenant.id, tenant.limits.requests_per_second)
        if wait := standing.wait_seconds:
            text = (
                f"more than {standing.per_second} requests per second; wait, or raise limits.requestsPerSecond "
                "of the tenant file"
            )
            headers = {"Retry-After": str(math.ceil(wait)), "retry-after-ms": str(math.ceil(wait * 1000))}
            raise Problem(429, "rate_limit_exceeded", text, headers={**headers, **standing.fields()})
        visitor = Visitor(caller, tenant, standing)
        request.scope[_VISITOR] = visitor
        return visitor

    def admit(self, request: Request) -> Visitor:
        """Who came in with this request."""
        visitor: Visitor = request.scope[_VISITOR]
        return visitor
