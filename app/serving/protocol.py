"""HTTP/1.1 with bounds: what a client may send before it is admitted, how slowly, and how slowly it may read.

uvicorn itself bounds neither the head of a request nor the time that head and body take (RFC 9110, section 17.11 and
RFC 6585 name the answers). Times are looked at for all connections together, so that a request pays
for no timers of its own.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.api.problem import Problem


@dataclass(frozen=True)
class Bounds:
    """Of one connection, but for the number of connections."""

    connections: int = 2000
    head_bytes: int = 32 << 10  # request line and headers
    headers: int = 100
    head_seconds: float = 10.0  # from the first byte to the end of the head, and from the connection to the first byte
    body_seconds: float = 20.0  # after which a body must have come with at least ...
    body_bytes_per_second: int = 1024  # ... on average
    keep_alive_seconds: float = 30.0  # between two requests
    linger_seconds: float = 10.0  # how long a body is read on that nobody wants, so that its sender sees the answer
    write_seconds: float = 60.0  # how long a client may take nothing of an answer
    look_seconds: float = 1.0  # between two looks at the times above, in tenths


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `BoundedServer` calls `look` again and again."""

    bounds: ClassVar[Bounds] = Bounds()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._phase = "idle"  # then head, body and idle again
        self._since = self.loop.time()  # the phase began
        self._head_bytes = 0
        self._body_bytes = 0
        self._answered_at: float | None = None  # while its body still comes
        self._unread_since: float | None = None  # the client takes nothing of the answer
        self._is_refused = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections:
            self._refuse(503, "too_many_connections", "too many connections at once; connect again in a while")

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        if self._phase == "head":
            self._head_bytes += len(data)
            if self._head_bytes > self.bounds.head_bytes:
                self._refuse_head()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._enter("head")
        self._head_bytes = self._body_bytes = 0
        self._answered_at = None
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._is_refused:
            return
        head = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if head > self.bounds.head_bytes or len(self.headers) > self.bounds.headers:
            self._refuse_head()
            return
        self._enter("body")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._is_refused:
            return
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._is_refused:
            return
        self._enter("idle")
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._phase == "body":
            self._answered_at = self.loop.time()
        else:
            self._since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        self._unread_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._unread_since = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the parser's own words say nothing to callers
        self._refuse(400, "http_invalid", "the request is no HTTP/1.1; mend its first lines")

    def shutdown(self) -> None:
        """Requests that are here are answered; those that are still coming are not waited for."""
        if self._phase != "idle" and not self._is_refused and not self._is_answered():
            self._refuse(503, "stopping", "the server stops; send the request again")
        if self._is_refused:
            self.transport.close()
        super().shutdown()

    def look(self, now: float) -> None:
        """End what takes too long."""
        bounds, taken = self.bounds, now - self._since
        if self._unread_since is not None and now - self._unread_since > bounds.write_seconds:
            self.transport.abort()
        elif self._is_refused:
            self.transport.close()
        elif self._phase == "head" and taken > bounds.head_seconds:
            self._refuse(408, "head_too_slow", f"the head took more than {bounds.head_seconds:g} s; send it at once")
        elif self._phase == "body":
            self._look_at_body(now)
        elif self._phase == "idle" and self._is_answered() and taken > bounds.keep_alive_seconds:
            self.transport.close()

    def _look_at_body(self, now: float) -> None:
        bounds, taken = self.bounds, now - self._since
        if self._answered_at is not None:
            if now - self._answered_at > bounds.linger_seconds:
                self.transport.close()
        elif self.flow.read_paused:
            self._since += bounds.look_seconds  # it is we who are slow
        elif taken > bounds.body_seconds and self._body_bytes < taken * bounds.body_bytes_per_second:
            text = f"the body came with less than {bounds.body_bytes_per_second} bytes per second; send it faster"
            self._refuse(408, "body_too_slow", text)

    def _enter(self, phase: str) -> None:
        self._phase, self._since = phase, self.loop.time()

    def _is_answered(self) -> bool:
        """Whatever came in here."""
        return self.cycle is None or self.cycle.response_complete

    def _refuse_head(self) -> None:
        text = f"the head has more than {self.bounds.head_bytes} bytes or {self.bounds.headers} headers; send fewer"
        self._refuse(431, "head_too_large", text)

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer in the place of the application, and close at the next look: the answer needs time to arrive."""
        self._is_refused = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # for the application the client has gone
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.transport.close()
                return
        headers = {"Connection": "close", **({"Retry-After": "5"} if status == 503 else {})}  # noqa: PLR2004
        answer = Problem(status, code, detail, headers=headers).response("/")
        fields = [*self.server_state.default_headers, *answer.raw_headers]
        lines = [STATUS_LINE[status], *(name + b": " + value + b"\r\n" for name, value in fields), b"\r\n"]
        self.transport.write(b"".join([*lines, bytes(answer.body)]))


def within(bounds: Bounds) -> type[BoundedProtocol]:
    """The protocol with other bounds; uvicorn takes a class and makes the connections itself."""
    return type("WithinBounds", (BoundedProtocol,), {"bounds": bounds})
