"""Rows on their way from an object store: cut connections, and files that are too large."""

import gc
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from uuid import uuid4

import pytest

from trainer import storage
from trainer.contract import steps
from trainer.outcomes import BadInput, Unavailable

# botocore leaves a connection that was cut to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

ROWS = bytes(range(256)) * (20 << 12)  # 20 MB: three ranges


class Store:
    """An S3 endpoint with one object. cuts: answers that end after half of their bytes. sent: bytes of the object.

    path: its own, because a port may serve a second test while requests of the first are still under way.
    """

    def __init__(self) -> None:
        self.cuts, self.sent, self.lock, self.path = 0, 0, Lock(), f"tenon-acme/{uuid4().hex}/rows.jsonl"
        store = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._answer(200, len(ROWS))

            def do_GET(self) -> None:
                if self.path != f"/{store.path}":
                    self._answer(404, 0)
                    return
                asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "bytes=0-"))
                assert asked
                content = ROWS[int(asked[1]) : int(asked[2] or len(ROWS)) + 1]
                self._answer(206, len(content))
                with store.lock:
                    is_cut, store.cuts = store.cuts > 0, max(0, store.cuts - 1)
                    content = content[: len(content) // 2] if is_cut else content
                    store.sent += len(content)
                self.wfile.write(content)
                self.close_connection = is_cut

            def _answer(self, code: int, length: int) -> None:
                self.send_response(code)
                self.send_header("Content-Length", str(length))
                self.send_header("ETag", '"1"')
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    made = Store()
    monkeypatch.setenv(steps.S3_URL, f"http://127.0.0.1:{made.server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "acme")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "acme")
    yield made
    made.server.shutdown()
    made.server.server_close()
    gc.collect()  # here, and not in another's test


@pytest.mark.requirement("E74")
def test_a_dropped_connection_costs_its_own_range_and_no_more(store: Store, tmp_path: Path) -> None:
    store.cuts = 2

    path = storage.fetch_file(f"s3://{store.path}", tmp_path)

    assert path.read_bytes() == ROWS
    assert len(ROWS) < store.sent < 1.5 * len(ROWS)


def test_a_store_that_drops_every_connection_can_be_asked_again(store: Store, tmp_path: Path) -> None:
    store.cuts = 10**6

    with pytest.raises(Unavailable, match=r"rows\.jsonl: .* does not answer"):
        storage.fetch_file(f"s3://{store.path}", tmp_path)
    assert not (tmp_path / "rows.jsonl").exists()


def test_of_a_file_that_is_too_large_nothing_is_read(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=rf"has {len(ROWS)} bytes and 1000 are allowed; give a smaller file"):
        storage.fetch_file(f"s3://{store.path}", tmp_path, most_bytes=1000)
    assert store.sent == 0
