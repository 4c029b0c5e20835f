"""Objects of the Kubernetes API as they stand now: listed once, then watched, so that a look at them costs no request.

One thread for all paths. Each path is a loop of its own: list, watch from that version on, list again when the server
has forgotten the version (410) or after LIST_AGAIN_SECONDS, which bounds what a lost event can do. The server sends a
bookmark each minute, so a stream that is silent for longer is a half-open socket, and is opened anew.
"""

import asyncio
import contextlib
import gc
import json
import logging
import random
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import httpx

from app.apiserver import ApiServerUnavailable, RefusedError, refusal
from app.kubeconfig import Access

PAGE = 500  # objects in one answer to a list
WATCH_SECONDS = 300  # the server ends a watch then; with jitter, so that not all begin at once
SILENT_SECONDS = 90.0  # bookmarks come each minute
LIST_AGAIN_SECONDS = 1800.0
CONNECT_SECONDS = 10.0
FIRST_BACKOFF_SECONDS, MOST_BACKOFF_SECONDS = 0.1, 30.0
TURNS = 5  # of the loop at its end, in which sockets that were closed are let go
LIVED_SECONDS = 5.0  # a stream that ends sooner counts as a fault

log = logging.getLogger(__name__)

KeptT = TypeVar("KeptT")
Object = dict[str, Any]


class _ForgottenError(Exception):
    """The server no longer has the version to watch from."""


@dataclass
class _Followed(Generic[KeptT]):
    """One path: what is kept of each object, and when the server last said something about it."""

    kept: dict[str, KeptT] = field(default_factory=dict)
    version: str | None = None  # to watch from
    listed_at: float = 0.0
    heard_at: float | None = None  # None before the first list
    task: "asyncio.Task[None] | None" = None


class Mirror(Generic[KeptT]):
    """What `keep` makes of every object under the paths that are followed, by path and name.

    keep: None leaves the object out. It runs once per change, so that what is kept can be small, and raises nothing.
    """

    def __init__(
        self,
        access: Access,
        keep: Callable[[Object], KeptT | None],
        *,
        selector: str = "",
        silent_seconds: float = SILENT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._access, self._keep, self._selector = access, keep, selector
        self._silent_seconds, self._clock = silent_seconds, clock
        self._followed: dict[str, _Followed[KeptT]] = {}
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self._thread.start()

    def follow(self, paths: Iterable[str]) -> None:
        """Follow exactly these paths from now on; what was kept of others goes."""
        wanted = set(paths)
        with self._lock:
            gone = [(path, self._followed.pop(path)) for path in self._followed.keys() - wanted]
            new = {path: _Followed[KeptT]() for path in wanted - self._followed.keys()}
            self._followed |= new
        for path, followed in new.items():
            self._loop.call_soon_threadsafe(self._begin, path, followed)
        for _, followed in gone:
            self._loop.call_soon_threadsafe(_end, followed)

    def get(self, name: str) -> KeptT | None:
        """The object of that name under whichever path."""
        with self._lock:
            return next((each.kept[name] for each in self._followed.values() if name in each.kept), None)

    def all(self) -> list[KeptT]:
        with self._lock:
            return [kept for each in self._followed.values() for kept in each.kept.values()]

    def seconds_stale(self) -> float | None:
        """How long the most silent path has been silent; None while one was never read."""
        with self._lock:
            heard = [each.heard_at for each in self._followed.values()]
        known = [at for at in heard if at is not None]
        if len(known) < len(heard):
            return None
        return self._clock() - min(known) if known else 0.0

    def wait(self, condition: Callable[[], bool], *, seconds: float) -> bool:
        """Whether the condition came true in that time; asked at each change."""
        deadline = time.monotonic() + seconds
        while not condition():
            with self._changed:
                if (left := deadline - time.monotonic()) <= 0:
                    return False
                self._changed.wait(min(left, 0.5))
        return True

    def close(self) -> None:
        """End all streams and the thread."""
        self.follow(())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            while tasks := asyncio.all_tasks(self._loop):  # one that ends may begin another, to open a connection
                for task in tasks:
                    if not task.cancelling():  # a second time would cut short what the first one makes it clean up
                        task.cancel()
                self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            for _ in range(TURNS):
                self._loop.run_until_complete(asyncio.sleep(0))
            del tasks
            with warnings.catch_warnings():  # httpcore closes no socket whose TLS handshake is cancelled; this does
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()
        finally:
            self._loop.close()

    def _begin(self, path: str, followed: _Followed[KeptT]) -> None:
        followed.task = self._loop.create_task(self._follow(path, followed))

    async def _follow(self, path: str, followed: _Followed[KeptT]) -> None:
        backoff, told = FIRST_BACKOFF_SECONDS, ""
        async with self._client() as client:
            while True:
                begun, text = self._clock(), ""
                try:
                    if followed.version is None or begun - followed.listed_at > LIST_AGAIN_SECONDS:
                        await self._list(client, path, followed)
                    await self._watch(client, path, followed)
                except _ForgottenError:
                    followed.version = None
                except (ApiServerUnavailable, RefusedError, OSError, httpx.TransportError, ValueError) as error:
                    text = f"{type(error).__name__}: {error}"
                if text and text != told:  # an outage is told once
                    log.warning("%s: %s; asking again", path, text)
                told = text
                lived = self._clock() - begun > LIVED_SECONDS
                backoff = FIRST_BACKOFF_SECONDS if lived else min(backoff * 2, MOST_BACKOFF_SECONDS)
                await asyncio.sleep(backoff * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    async def _list(self, client: httpx.AsyncClient, path: str, followed: _Followed[KeptT]) -> None:
        """Replace what is kept by what there is."""
        found: dict[str, KeptT] = {}
        query = {"limit": str(PAGE), "labelSelector": self._selector}
        while True:
            async with _answer(client, path, query, self._access) as answer:
                page = json.loads(await answer.aread())
            for body in page.get("items") or ():
                if (kept := self._keep(body)) is not None:
                    found[body["metadata"]["name"]] = kept
            if not (more := page["metadata"].get("continue")):
                break
            query = {**query, "continue": more}
        with self._changed:
            followed.kept, followed.version = found, str(page["metadata"]["resourceVersion"])
            followed.heard_at = followed.listed_at = self._clock()
            self._changed.notify_all()

    async def _watch(self, client: httpx.AsyncClient, path: str, followed: _Followed[KeptT]) -> None:
        """Take changes until the server ends the stream. The version to go on from is kept with each of them."""
        seconds = int(WATCH_SECONDS * random.uniform(0.8, 1.0))  # noqa: S311 - jitter
        query = {
            "watch": "1",
            "resourceVersion": str(followed.version),
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
            "labelSelector": self._selector,
        }
        async with _answer(client, path, query, self._access) as answer:
            async for line in answer.aiter_lines():
                event = json.loads(line)
                body = event["object"]
                if event["type"] == "ERROR":
                    if body.get("code") == httpx.codes.GONE:
                        raise _ForgottenError
                    raise ApiServerUnavailable(str(body.get("message")))
                self._take(followed, str(event["type"]), body)

    def _take(self, followed: _Followed[KeptT], kind: str, body: Object) -> None:
        kept = self._keep(body) if kind in {"ADDED", "MODIFIED"} else None
        with self._changed:
            followed.heard_at, followed.version = self._clock(), str(body["metadata"]["resourceVersion"])
            if kind != "BOOKMARK":
                name = body["metadata"]["name"]
                if kept is None:
                    followed.kept.pop(name, None)
                else:
                    followed.kept[name] = kept
            self._changed.notify_all()

    def _client(self) -> httpx.AsyncClient:
        patience = httpx.Timeout(CONNECT_SECONDS, read=self._silent_seconds)
        return httpx.AsyncClient(
            base_url=self._access.url, verify=self._access.trust, timeout=patience, trust_env=False
        )


@contextlib.asynccontextmanager
async def _answer(
    client: httpx.AsyncClient, path: str, query: dict[str, str], access: Access
) -> AsyncIterator[httpx.Response]:
    """An answer to be read. Raises _ForgottenError, RefusedError, httpx.TransportError, OSError."""
    known = {name: value for name, value in query.items() if value}
    async with client.stream("GET", path, params=known, headers=access.headers()) as answer:
        if answer.status_code == httpx.codes.GONE:
            raise _ForgottenError
        if not answer.is_success:
            await answer.aread()
            raise refusal(answer)
        yield answer


def _end(followed: _Followed[Any]) -> None:
    if followed.task is not None:
        followed.task.cancel()
