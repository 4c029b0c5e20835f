"""Requests that stay open while a job goes on. They hold no thread between two looks at the store, and are counted."""

import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
import anyio.to_thread
from starlette.requests import Request

from app.api.errors import Problem

LOOK_SECONDS = 0.5  # between two looks; other processes change the store, and nothing tells us
MOST_WAIT_SECONDS = 60
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?([0-9]{1,4})\"?", re.IGNORECASE)

T = TypeVar("T")


@dataclass
class Followers:
    """How many requests of this process are kept open."""

    each: int = 16  # of a tenant
    most: int = 512
    open: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def one(self, tenant: str) -> Iterator[None]:
        """Counts one while the block runs. Raises Problem 429."""
        if self.open[tenant] >= self.each or self.open.total() >= self.most:
            text = f"{self.each} streams and waiting requests of a tenant are open already; close one, or poll"
            raise Problem(429, "too_many_streams", text, headers={"Retry-After": "5"})
        self.open[tenant] += 1
        try:
            yield
        finally:
            self.open[tenant] -= 1


def wait_seconds(request: Request) -> int:
    """Of `Prefer: wait=<seconds>` (RFC 7240, section 4.3), cut to a minute; 0 where none is asked for."""
    found = _WAIT.search(request.headers.get("prefer", ""))
    return min(int(found.group(1)), MOST_WAIT_SECONDS) if found else 0


async def looks(read: Callable[[], T], *, seconds: float | None = None) -> AsyncIterator[T]:
    """What `read` finds, again and again, until the time is over; the last look is at its end."""
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        yield await anyio.to_thread.run_sync(read)
        left = LOOK_SECONDS if until is None else until - time.monotonic()
        if left <= 0:
            return
        await anyio.sleep(min(LOOK_SECONDS, left))
