"""Asks for the model's key before Ray Serve answers. The whole text is rendered and runs inside Ray's HTTP proxy.

Ray Serve knows no key of its own. It calls `middlewares` when a proxy starts, since the variable
RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH names it (Ray 2.58, serve/_private/http_util.py).
"""

import hmac
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.middleware import Middleware

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

HEALTH = "/-/healthz"  # asked by KubeRay and by nobody outside: no route leads there
KEY = "TENON_API_KEY"


class Access:
    """401 without the key, for every path but the proxy's own health."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._wanted = f"Bearer {os.environ[KEY]}".encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope.get("path") == HEALTH or self._is_known(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 401, "headers": [(b"www-authenticate", b"Bearer")]})
            await send({"type": "http.response.body", "body": b""})
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _is_known(self, scope: Message) -> bool:
        given = [value for name, value in scope.get("headers", ()) if name == b"authorization"]
        return len(given) == 1 and hmac.compare_digest(given[0], self._wanted)


def middlewares() -> list[Middleware]:
    """Called once by each proxy, which ends when the key is not there."""
    if not os.environ.get(KEY):
        raise RuntimeError(f"{KEY}: is empty; the server would answer anybody")
    return [Middleware(Access)]
