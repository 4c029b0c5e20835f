"""Group commit: what concurrent requests write, in one transaction, because waiting for the disk costs most."""

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_Waiting = tuple[_Item, asyncio.AbstractEventLoop, "asyncio.Future[None]"]

MOST = 256  # items of one transaction


class GroupCommit(Generic[_Item]):
    """Hands what comes while a transaction runs to the next one, in order. Requests of several loops may share it."""

    def __init__(self, write: Callable[[list[_Item]], None]) -> None:
        """write: keeps all of the items or, where it raises, none. It runs in a thread, never twice at once."""
        self._write = write
        self._lock = threading.Lock()
        self._waiting: list[_Waiting[_Item]] = []
        self._is_writing = False

    async def add(self, item: _Item) -> None:
        """Return when the item is durable. Raises what `write` raised."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        with self._lock:
            self._waiting.append((item, loop, done))
            begins, self._is_writing = not self._is_writing, True
        if begins:
            # nobody waits for it: it goes on for others when this request is cancelled
            loop.run_in_executor(None, self._write_all)
        await done

    def _write_all(self) -> None:
        while taken := self._take():
            fault: Exception | None = None
            try:
                self._write([item for item, _, _ in taken])
            except Exception as error:  # noqa: BLE001 - told to everybody who waits
                fault = error
            for loop in {loop for _, loop, _ in taken}:
                _call(loop, [done for _, of, done in taken if of is loop], fault)

    def _take(self) -> list[_Waiting[_Item]]:
        with self._lock:
            taken, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            self._is_writing = bool(taken)
        return taken


def _call(loop: asyncio.AbstractEventLoop, waiting: list["asyncio.Future[None]"], fault: Exception | None) -> None:
    """Wake all requests of a loop at once; those whose loop has ended wait no more."""

    def wake() -> None:
        for done in waiting:
            if done.cancelled():
                continue
            if fault is None:
                done.set_result(None)
            else:
                done.set_exception(fault)

    try:
        loop.call_soon_threadsafe(wake)
    except RuntimeError:  # the loop is closed
        return
