"""Connections to hosts that tenants chose: every address of the name is vetted at every dial, then dialled as it is.

Nothing is looked up a second time between the look and the dial, so a name that changes its address in between gains
nothing. TLS still asks for the host by its name.
"""

import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Any

import anyio.to_thread
import httpcore

from app.addresses import Address, Network, refuse_any, refuse_name

HTTPS_PORT = 443
MOST_ADDRESSES = 4  # that are tried one after the other
CONNECT_SECONDS = 5.0  # for each

Resolve = Callable[[str], Awaitable[Sequence[Address]]]
Dial = Callable[[Address, int], Awaitable[httpcore.AsyncNetworkStream]]


class AddressRefused(Exception):  # noqa: N818 - the rule spoke, nothing failed
    """The host may not be dialled; the text is the rule, and no address of the inside."""


class VettedNetwork(httpcore.AsyncNetworkBackend):
    """What httpcore connects through. Each connection is one look at the name and one dial of what was seen."""

    def __init__(self, *, resolve: Resolve, dial: Dial, opened: Callable[[], Sequence[Network]]) -> None:
        """opened: private ranges that names may lead to, as the platform has them now."""
        self._resolve = resolve
        self._dial = dial
        self._opened = opened

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - httpcore's signature; the caller bounds the whole
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Raises AddressRefused, and httpcore.ConnectError when no address answers."""
        if port != HTTPS_PORT:
            raise AddressRefused("a port that is not 443")
        if rule := refuse_name(host):
            raise AddressRefused(rule)
        addresses = await self._resolve(host)
        if rule := refuse_any(addresses, opened=self._opened()):
            raise AddressRefused(rule)
        for address in addresses[:MOST_ADDRESSES]:
            try:
                with anyio.fail_after(CONNECT_SECONDS):
                    return await self._dial(address, port)
            except (TimeoutError, OSError, httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        raise httpcore.ConnectError("no address answers")

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ARG002, ASYNC109
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        raise AddressRefused("a socket of this machine")


def system_resolver(most_at_once: int) -> Resolve:
    """All A and AAAA of the absolute name, by libc in threads of our own; no address when it has none.

    The caller is held until libc gives up (after half a minute at most, by default), so that no threads pile up.
    """
    limiter = anyio.CapacityLimiter(most_at_once)

    async def resolve(host: str) -> list[Address]:
        look = partial(socket.getaddrinfo, f"{host}.", HTTPS_PORT, type=socket.SOCK_STREAM)
        try:
            found = await anyio.to_thread.run_sync(look, limiter=limiter)
        except OSError:
            return []
        return [ip_address(entry[4][0]) for entry in found]

    return resolve


async def dial(address: Address, port: int) -> httpcore.AsyncNetworkStream:
    """Connect to the address itself: a literal is resolved by nobody."""
    return await httpcore.AnyIOBackend().connect_tcp(str(address), port)
