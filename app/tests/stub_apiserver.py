"""A stand-in for the Kubernetes API with its semantics: versions, 409, lists by pages, watches with bookmarks, 410.

It keeps whatever it is given; faults are asked for by a test.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]
_ITEM = re.compile(r"(?P<path>(/api/v1|/apis/[^/]+/[^/]+)/namespaces/[^/]+/[^/]+)/(?P<name>[^/]+)")
_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
_REASONS = {403: "Forbidden", 404: "NotFound", 409: "AlreadyExists", 410: "Expired", 429: "TooManyRequests"}


@dataclass
class Cluster:
    """What the server knows, and what it is to do wrong."""

    objects: dict[str, dict[str, Object]] = field(default_factory=dict)  # path -> name -> object
    history: list[tuple[int, str, str, Object]] = field(default_factory=list)  # version, path, type, object
    version: int = 100
    oldest: int = 0  # watches from before it are answered 410
    tokens: dict[str, tuple[str, str | None]] = field(default_factory=dict)  # token -> username, pod
    audience: str = "finetune-status"
    requests: list[tuple[str, str]] = field(default_factory=list)
    refuse: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # answers to the next requests
    lists_forbidden: bool = False
    streams: int = 0  # watches opened so far
    cut: bool = False  # end every stream now, in the middle
    mute: bool = False  # streams stay open and say nothing
    hooks: list[Callable[[str, Object], None]] = field(default_factory=list)  # after a creation
    changed: threading.Condition = field(default_factory=threading.Condition)

    def put(self, path: str, body: Object) -> Object:
        """Create or replace, as a controller of the cluster would."""
        with self.changed:
            known = self.objects.setdefault(path, {})
            kind = "MODIFIED" if body["metadata"]["name"] in known else "ADDED"
            return self._note(path, kind, body)

    def delete(self, path: str, name: str) -> None:
        with self.changed:
            body = self.objects[path].pop(name)
            self._note(path, "DELETED", body)

    def forget(self) -> None:
        """Compact the history: who watches from an old version must list again."""
        with self.changed:
            self.oldest, self.cut = self.version + 1, True
            self.changed.notify_all()

    def _note(self, path: str, kind: str, body: Object) -> Object:
        self.version += 1
        noted = json.loads(json.dumps(body))
        noted["metadata"]["resourceVersion"] = str(self.version)
        if kind != "DELETED":
            self.objects[path][noted["metadata"]["name"]] = noted
        self.history.append((self.version, path, kind, noted))
        self.changed.notify_all()
        return dict(noted)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one segment for each answer: delayed acknowledgements would cost 40 ms each
    cluster: Cluster

    def do_GET(self) -> None:
        if self._refused():
            return
        path, query = self._asked()
        if query.get("watch"):
            self._watch(path, query)
        elif found := _ITEM.fullmatch(path):
            body = self.cluster.objects.get(found["path"], {}).get(found["name"])
            self._say(200, body) if body else self._fail(404, f"{found['name']} not found")
        elif self.cluster.lists_forbidden:
            self._fail(403, "cannot list")
        else:
            self._list(path, query)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._refused():
            return None
        path, _ = self._asked()
        if path == _REVIEWS:
            return self._review(body)
        name = body["metadata"]["name"]
        with self.cluster.changed:
            if name in self.cluster.objects.setdefault(path, {}):
                return self._fail(409, f'workflows.argoproj.io "{name}" already exists')
            body["metadata"] |= {
                "namespace": path.split("/")[-2],
                "creationTimestamp": f"2026-01-01T00:00:{len(self.cluster.history) % 60:02}Z",
            }
            made = self.cluster._note(path, "ADDED", body)
        for hook in self.cluster.hooks:
            hook(path, made)
        return self._say(201, made)

    def do_PATCH(self) -> None:
        patch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._refused():
            return None
        found = _ITEM.fullmatch(self._asked()[0])
        assert found is not None
        with self.cluster.changed:
            body = self.cluster.objects.get(found["path"], {}).get(found["name"])
            if body is None:
                return self._fail(404, f"{found['name']} not found")
            assert self.headers["Content-Type"] == "application/merge-patch+json"
            merged = self.cluster._note(found["path"], "MODIFIED", _merged(body, patch))
        return self._say(200, merged)

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _asked(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        return parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}

    def _refused(self) -> bool:
        self.cluster.requests.append((self.command, self.path))
        if not self.cluster.refuse:
            return False
        status, headers = self.cluster.refuse.pop(0)
        self._fail(status, "refused by the test", headers)
        return True

    def _list(self, path: str, query: dict[str, str]) -> None:
        with self.cluster.changed:
            items = [each for each in self.cluster.objects.get(path, {}).values() if _matches(each, query)]
            version = self.cluster.version
        start, limit = int(query.get("continue", 0)), int(query.get("limit", 0)) or len(items)
        metadata = {"resourceVersion": str(version)}
        if start + limit < len(items):
            metadata["continue"] = str(start + limit)
        self._say(200, {"items": items[start : start + limit], "metadata": metadata})

    def _watch(self, path: str, query: dict[str, str]) -> None:
        version = int(query["resourceVersion"])
        with self.cluster.changed:
            if version < self.cluster.oldest - 1:
                return self._fail(410, "too old resource version")
            self.cluster.streams += 1
            self.cluster.cut = False
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        while True:
            with self.cluster.changed:
                new = [] if self.cluster.mute else [e for e in self.cluster.history if e[0] > version and e[1] == path]
                if self.cluster.cut:
                    self.close_connection = True
                    return None
                if not new:
                    self.cluster.changed.wait(0.5)
                    if self.cluster.mute:
                        continue
            mark = ("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})
            for kind, body in [(e[2], e[3]) for e in new if _matches(e[3], query)] or [mark]:
                line = json.dumps({"type": kind, "object": body}).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            version = max([version, *(e[0] for e in new)])
            try:
                self.wfile.flush()
            except OSError:
                return None

    def _review(self, body: Object) -> None:
        known = self.cluster.tokens.get(body["spec"]["token"])
        meant = [each for each in body["spec"]["audiences"] if each == self.cluster.audience]
        if known is None or not meant:
            return self._say(201, {**body, "status": {"authenticated": False}})
        extra = {"authentication.kubernetes.io/pod-name": [known[1]]} if known[1] else {}
        user = {"username": known[0], "extra": extra}
        return self._say(201, {**body, "status": {"authenticated": True, "audiences": meant, "user": user}})

    def _fail(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        self._say(status, {"kind": "Status", "reason": _REASONS.get(status, ""), "message": message}, headers)

    def _say(self, status: int, body: Object, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def _matches(body: Object, query: dict[str, str]) -> bool:
    """Equality and existence, as in `app=x,job`."""
    labels = body["metadata"].get("labels", {})
    wanted = [each.partition("=") for each in query.get("labelSelector", "").split(",") if each]
    return all(name in labels and (not sign or labels[name] == value) for name, sign, value in wanted)


def _merged(body: Object, patch: Object) -> Object:
    """RFC 7386."""
    made = dict(body)
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = _merged(made.get(name, {}), value) if isinstance(value, dict) else value
    return made


@contextmanager
def serving(cluster: Cluster) -> Iterator[str]:
    """The server on loopback; its URL."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that went away is no fault."""

    handler = type("Handler", (_Handler,), {"cluster": cluster})
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            with cluster.changed:
                cluster.cut = True
                cluster.changed.notify_all()
            server.shutdown()
            thread.join()
