"""Whether a broker listens: cheap enough to be asked every second, and without an account."""

import socket

from app.broker.queue import BrokerUnavailable

CONNECT_SECONDS = 2.0


def connect(servers: str) -> None:
    """servers: `host:port`, by comma; one that takes a connection is enough. Raises BrokerUnavailable."""
    for server in servers.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
        except (OSError, ValueError):
            continue
        return
    raise BrokerUnavailable(f"{servers}: none takes connections; start the broker, or mend TENON_BROKER_URL")
