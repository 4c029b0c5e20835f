"""An object store that fails as a test says: a proxy on loopback before a real one.

Requests keep their Host header, so that their signatures hold.
"""

import http.client
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Literal
from urllib.parse import urlsplit

Answer = Literal["pass", "refuse", "drop"]
Rule = Callable[[str, str], Answer]  # method and path of a request; it may wait before it answers


def always(answer: Answer) -> Rule:
    return lambda *_: answer


class Weather:
    """What becomes of requests: `rule` may be changed while the proxy runs. failed: how many did not pass."""

    def __init__(self) -> None:
        self.rule: Rule = always("pass")
        self.failed = 0


@contextmanager
def before(store: str, weather: Weather) -> Iterator[str]:
    """The proxy's endpoint."""
    host = urlsplit(store).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            answer = weather.rule(self.command, self.path)
            if answer == "pass":
                self._forward(body)
                return
            weather.failed += 1
            if answer == "refuse":
                self._reply(500, [], b"<Error><Code>InternalError</Code></Error>")
            else:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer  # noqa: N815 - names of the library

        def _forward(self, body: bytes) -> None:
            connection = http.client.HTTPConnection(host, timeout=30)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            connection.request(self.command, self.path, body, headers)
            found = connection.getresponse()
            content = found.read()
            connection.close()
            self._reply(found.status, found.getheaders(), content)

        def _reply(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                    self.send_header(name, value)
            named = dict(headers)
            is_head = self.command == "HEAD"
            self.send_header("Content-Length", named.get("Content-Length", "0") if is_head else str(len(content)))
            self.end_headers()
            if not is_head:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
