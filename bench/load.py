"""Load on one address: keep-alive connections, each request sent whole and each answer read whole.

Closed loop: every connection sends its next request when it has its answer; it shows capacity. Open loop: requests
begin at a constant rate, whether or not earlier ones were answered, and latency counts from the moment they were due;
it shows what users would wait.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

ANSWER_SECONDS = 60.0
_END = b"\r\n\r\n"


@dataclass
class Told:
    """What came back. latencies: seconds; statuses other than 202 are counted apart."""

    latencies: list[float] = field(default_factory=list)
    refused: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0

    def note(self, status: int, latency: float) -> None:
        if status == 202:  # noqa: PLR2004
            self.latencies.append(latency)
        else:
            self.refused[status] = self.refused.get(status, 0) + 1

    def percentile(self, share: float) -> float:
        """In seconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of TCP
        self._transport = transport

    def send(self, request: bytes) -> "asyncio.Future[int]":
        """The status of its answer."""
        assert self._transport is not None  # noqa: S101 - connected
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(_END)
        if not found:
            return
        length = _length(head)
        if len(rest) < length or self._answer is None:
            return
        self._buffer = rest[length:]
        if not self._answer.done():
            self._answer.set_result(int(head[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionError("the server closed the connection"))


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


async def closed(port: int, request: Callable[[int], bytes], *, requests: int, connections: int) -> Told:
    """So many requests over so many connections, as fast as they are answered."""
    told, numbers = Told(), iter(range(requests))
    opened = [await _connected(port) for _ in range(connections)]
    began = time.perf_counter()

    async def work(connection: Connection) -> None:
        for number in numbers:
            at = time.perf_counter()
            status = await asyncio.wait_for(connection.send(request(number)), ANSWER_SECONDS)
            told.note(status, time.perf_counter() - at)

    await asyncio.gather(*map(work, opened))
    told.seconds = time.perf_counter() - began
    _close(opened)
    return told


async def open_(port: int, request: Callable[[int], bytes], *, rate: float, seconds: float) -> Told:
    """`rate` requests a second. A connection is taken from those that are free; a new one where none is."""
    told, free = Told(), [await _connected(port) for _ in range(64)]
    tasks: list[asyncio.Task[None]] = []
    began = time.perf_counter()

    async def one(number: int, due: float) -> None:
        connection = free.pop() if free else await _connected(port)
        status = await asyncio.wait_for(connection.send(request(number)), ANSWER_SECONDS)
        told.note(status, time.perf_counter() - due)
        free.append(connection)

    for number in range(int(rate * seconds)):
        due = began + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(one(number, due)))
    await asyncio.gather(*tasks)
    told.seconds = time.perf_counter() - began
    _close(free)
    return told


async def _connected(port: int) -> Connection:
    _, made = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return made


def _close(connections: list[Connection]) -> None:
    for connection in connections:
        if connection._transport is not None:  # noqa: SLF001 - its own module
            connection._transport.close()  # noqa: SLF001
