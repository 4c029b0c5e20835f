"""The server of a process of ours, and the socket that it listens on."""

import resource
import socket
import sys
import threading
from dataclasses import replace

import uvicorn
from starlette.types import ASGIApp

from app.serving.protocol import BoundedProtocol, Bounds, within
from app.settings import SettingsError

BACKLOG = 2048  # connections that the kernel keeps for us
STOP_SECONDS = 10  # for requests to end after we were told to stop; streams are cut then
_TICKS_PER_SECOND = 10  # of uvicorn


class BoundedServer(uvicorn.Server):
    """Looks after its connections."""

    def __init__(self, config: uvicorn.Config, bounds: Bounds, stop: threading.Event | None) -> None:
        super().__init__(config)
        self._stop = stop
        self._ticks_per_look = max(1, round(bounds.look_seconds * _TICKS_PER_SECOND))

    async def on_tick(self, counter: int) -> bool:
        if self._stop is not None and self._stop.is_set():
            self.should_exit = True
        if counter % self._ticks_per_look == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, BoundedProtocol):
                    connection.look(connection.loop.time())
        return await super().on_tick(counter)


def server(application: ASGIApp, *, bounds: Bounds | None = None, stop: threading.Event | None = None) -> BoundedServer:
    """Runs on the sockets that it is given, until a signal or `stop`. It trusts no header about who the client is.

    uvicorn takes signals only once it runs; one that came before is in `stop`.
    """
    held = bounds or _fitting(Bounds())
    return BoundedServer(
        uvicorn.Config(
            application,
            http=within(held),
            loop="uvloop" if sys.platform != "win32" else "auto",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=max(1, round(held.keep_alive_seconds)),
            timeout_graceful_shutdown=STOP_SECONDS,
        ),
        held,
        stop,
    )


def listening(variable: str, address: str, port: int) -> socket.socket:
    """Raises SettingsError, which names the variable."""
    try:
        if ":" not in address:
            return socket.create_server((address, port), backlog=BACKLOG)
        both = address == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((address, port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=both)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        text = f"{variable}: port {port} of {address} cannot be had ({reason}); end what uses it, or name another"
        raise SettingsError(text) from error


def _fitting(bounds: Bounds) -> Bounds:
    """At most half of the descriptors that this process may have are connections: store and broker need some."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return replace(bounds, connections=min(bounds.connections, max(16, soft // 2)))
