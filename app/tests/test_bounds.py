"""The server against clients that are slow, endless, huge or wild: bounded, answered, and others are served."""

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import httpx
import pytest

from app.api.errors import Problem
from app.serving.protocol import Bounds
from app.tests.cast import KEYS
from app.tests.serving import REQUEST, Api, listening, serve

# Times of the tests.
QUICK = Bounds(
    connections=20,
    head_seconds=0.5,
    body_seconds=0.5,
    keep_alive_seconds=0.5,
    linger_seconds=0.5,
    write_seconds=0.5,
    look_seconds=0.1,
)
PATIENCE = 15.0  # against hanging alone
AUTHORIZED = f"Authorization: Bearer {KEYS['acme']}\r\n"
HEAD = f"POST /api/finetune HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{AUTHORIZED}"
BODY = json.dumps(REQUEST)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Api:
    return serve(tmp_path_factory.mktemp("bounds"))


@pytest.fixture(scope="module")
def address(api: Api) -> Iterator[tuple[str, int]]:
    with listening(api.application, bounds=QUICK) as url:
        yield "127.0.0.1", int(url.rpartition(":")[2])


@pytest.fixture(scope="module")
def patient(api: Api) -> Iterator[tuple[str, int]]:
    """A server with the bounds of the product but for one."""
    with listening(api.application, bounds=Bounds(linger_seconds=0.5, look_seconds=0.1)) as url:
        yield "127.0.0.1", int(url.rpartition(":")[2])


class Client:
    """A raw connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, text: str | bytes) -> "Client":
        self._socket.sendall(text.encode() if isinstance(text, str) else text)
        return self

    def trickle(self, pieces: Iterator[bytes]) -> "Client":
        """Send until the server has had enough."""
        with suppress(OSError):
            self.send_all(pieces)
        return self

    def send_all(self, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            self._socket.sendall(piece)

    def rest(self) -> bytes:
        """All that comes until the server closes the connection."""
        found = bytearray()
        try:
            while piece := self._socket.recv(65536):
                found += piece
        except ConnectionError:
            pass
        return bytes(found)

    def status(self) -> int | None:
        """Of the only answer; its body must be a problem."""
        rest = self.rest()
        if not rest:
            return None
        head, _, body = rest.partition(b"\r\n\r\n")
        match = re.match(rb"HTTP/1.1 (\d+)", head)
        assert match is not None
        assert b"application/problem+json" in head
        problem = json.loads(body)
        assert problem["status"] == int(match.group(1)) == int(match.group(1))
        assert set(problem) == PROBLEM
        return int(match.group(1))


PROBLEM = set(json.loads(bytes(Problem(400, "code", "text").response("/").body)))


def every(pause: float, pieces: Callable[[int], bytes]) -> Iterator[bytes]:
    """One piece after another, until the test's patience ends."""
    deadline, number = time.monotonic() + PATIENCE, 0
    while time.monotonic() < deadline:
        yield pieces(number)
        number += 1
        time.sleep(pause)


def test_a_head_that_never_ends_is_answered_and_others_are_served_meanwhile(address: tuple[str, int]) -> None:
    with Client(address) as slow:
        slow.send("GET /v1/models HTTP/1.1\r\nHost: x\r\n")
        assert httpx.get(f"http://{address[0]}:{address[1]}/healthz").status_code == 200
        assert slow.status() == 408


def test_a_head_that_comes_drop_by_drop_is_answered(address: tuple[str, int]) -> None:
    with Client(address) as slow:
        slow.send("GET / HTTP/1.1\r\n").trickle(every(0.1, lambda number: f"x-{number}: y\r\n".encode()))
        assert slow.status() in {408, None}  # None: the drops that came after it made the kernel drop the answer


def test_a_body_that_never_comes_is_answered(address: tuple[str, int]) -> None:
    with Client(address) as slow:
        assert slow.send(f"{HEAD}Content-Length: 100\r\n\r\n{{").status() == 408


def test_a_body_that_comes_drop_by_drop_is_answered(address: tuple[str, int]) -> None:
    with Client(address) as slow:
        slow.send(f"{HEAD}Content-Length: 60000\r\n\r\n").trickle(every(0.05, lambda _: b" "))
        assert slow.status() in {408, None}


def test_a_connection_without_a_request_is_closed(address: tuple[str, int]) -> None:
    with Client(address) as silent:
        assert silent.rest() == b""
    with Client(address) as blank:
        blank.trickle(every(0.1, lambda _: b"\r\n"))
        assert blank.rest() == b""


def test_a_connection_that_is_kept_is_closed_when_nothing_follows(address: tuple[str, int]) -> None:
    with Client(address) as kept:
        answers = kept.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").rest()
    assert answers.count(b"HTTP/1.1 200") == 1


@pytest.mark.parametrize(
    "head",
    [
        "x-big: " + "y" * (1 << 20) + "\r\n",
        "".join(f"x-{number}: {'y' * 100}\r\n" for number in range(10_000)),
        "".join(f"x-{number}: y\r\n" for number in range(101)),
        "x-big: " + "y" * (33 << 10) + "\r\n",
    ],
    ids=["one of a megabyte", "a megabyte of many", "more than a hundred", "just too many bytes"],
)
def test_headers_beyond_the_bounds_are_answered(patient: tuple[str, int], head: str) -> None:
    with Client(patient) as bomb:
        assert bomb.trickle(iter([f"GET /healthz HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode()])).status() == 431


def test_an_address_beyond_the_bounds_is_answered(patient: tuple[str, int]) -> None:
    with Client(patient) as bomb:
        assert bomb.send(f"GET /{'a' * 40_000} HTTP/1.1\r\nHost: x\r\n\r\n").status() == 431


@pytest.mark.parametrize(
    "text",
    ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\x00", "GET /\xff HTTP/1.1\r\n\r\n"],
)
def test_what_is_no_http_is_answered(patient: tuple[str, int], text: str) -> None:
    with Client(patient) as wild:
        assert wild.send(text.encode("latin-1")).status() == 400


def test_contradictions_about_the_length_are_no_second_request(patient: tuple[str, int]) -> None:
    """Request smuggling (RFC 9112, section 11.2)."""
    smuggled = "0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with Client(patient) as wild:
        wild.send(f"{HEAD}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n{smuggled}")
        assert b"200 OK" not in wild.rest()


@pytest.mark.parametrize("path", ["/api/finetune", "/v1/fine_tuning/jobs"])
def test_five_gigabytes_are_refused_by_their_declaration(patient: tuple[str, int], path: str) -> None:
    head = HEAD.replace("/api/finetune", path)
    with Client(patient) as huge:
        assert huge.send(f"{head}Content-Length: {5 << 30}\r\nConnection: close\r\n\r\n{{").status() == 413


def test_a_body_in_chunks_without_an_end_is_refused_and_then_not_read_for_ever(patient: tuple[str, int]) -> None:
    chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for piece in every(0.0, lambda _: chunk):
            sent += len(piece)
            yield piece

    with Client(patient) as endless:
        seen = threading.Thread(target=lambda: found.append(endless.rest()))
        found: list[bytes] = []
        endless.send(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n")
        seen.start()
        endless.trickle(pieces())
        seen.join()
    assert found[0].startswith(b"HTTP/1.1 413")
    assert sent > 64 << 10


def test_a_client_that_takes_nothing_of_its_answers_is_cut_off(address: tuple[str, int]) -> None:
    many = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
    with Client(address) as deaf, pytest.raises(ConnectionError):
        deaf.send_all(every(0.0, lambda _: many))
    assert httpx.get(f"http://{address[0]}:{address[1]}/healthz").status_code == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[" * 10_000, "json_invalid"),
        (b"[" * 10_000 + b"]" * 10_000, "json_invalid"),
        (b'{"a":' * 9_000 + b"1" + b"}" * 9_000, "json_invalid"),
        (b'{"metadata":' + b"[" * 70 + b"]" * 70 + b"}", "json_invalid"),
        (b'{"modelId": "\xff\xfe"}', "json_invalid"),
        (b'\xef\xbb\xbf{"modelId": "a"}', "json_invalid"),
        (b'{"modelId": "\x00"}', "json_invalid"),
        (b'{"modelId": "\\u0000", "datasetUrl": "b"}', "nul"),
        (b'{"modelId": "a", "datasetUrl": "b", "metadata": {"\\u0000": "x"}}', "nul"),
        (b'{"modelId": "a", "modelId": "b", "datasetUrl": "c"}', "duplicate_key"),
        (b'{"modelId": "a", "model\\u0049d": "b"}', "duplicate_key"),
        (b"{" + b",".join(b'"k%d": 1' % number for number in range(5000)) + b', "k0": 1}', "duplicate_key"),
        (b'{"seed": ' + b"9" * 60_000 + b"}", "json_invalid"),
        (b'{"seed": NaN}', "json_invalid"),
        (b'{"seed": -Infinity}', "json_invalid"),
        (b'{"modelId": "\\ud800", "datasetUrl": "b"}', "json_invalid"),
    ],
)
def test_json_that_parsers_read_differently_or_not_at_all_is_refused(api: Api, body: bytes, code: str) -> None:
    for path in ("/api/finetune", "/v1/fine_tuning/jobs"):
        began = time.process_time()
        answer = api.send("POST", path, content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
        assert time.process_time() - began < 5  # against what grows with the square of the input


def test_too_many_connections_are_told_so_and_those_that_are_there_go_on(address: tuple[str, int]) -> None:
    with Client(address) as first:
        first.send("GET /healthz HTTP/1.1\r\nHost: x\r\n")
        crowd = [Client(address) for _ in range(QUICK.connections + 5)]
        refused = sum(client.status() == 503 for client in crowd[-5:])
        first.send("\r\n")
        assert first.rest().startswith(b"HTTP/1.1 200") or refused
        for client in crowd:
            client.__exit__()
    assert refused == 5


def test_a_server_that_stops_waits_for_no_body(tmp_path: Path) -> None:
    with listening(serve(tmp_path).application) as url:
        client = Client(("127.0.0.1", int(url.rpartition(":")[2]))).send(f"{HEAD}Content-Length: 9\r\n\r\n")
        httpx.get(f"{url}/healthz")  # so that the head before it was read too
    with client:
        assert client.status() == 503
