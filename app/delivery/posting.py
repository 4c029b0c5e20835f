"""One POST to a receiver: bounded in time and bytes, no redirects, no proxies, and no word of the answer repeated."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
import httpcore

from app.delivery.dialling import HTTPS_PORT, AddressRefused

_SHAPE = "no plain https URL on port 443"
SECONDS = 15.0  # from the look at the name to the head of the answer


@dataclass(frozen=True)
class Answer:
    """The head of an answer, as far as it counts. Its body is never read."""

    status: int
    retry_after: str | None


class Unanswered(Exception):  # noqa: N818 - the fact, whoever's fault it is
    """No answer came. The text is our own: what a receiver sent could be what an attacker wants to read."""


class Post:
    """Sends through one way into the network, by a new connection each time.

    It stands on httpcore alone, which follows no redirect, knows no proxy, keeps no cookie and reads no environment.
    """

    def __init__(
        self, network: httpcore.AsyncNetworkBackend, *, trust: ssl.SSLContext, seconds: float = SECONDS
    ) -> None:
        self._network = network
        self._trust = trust
        self._seconds = seconds

    async def __call__(self, url: str, *, headers: Mapping[str, str], body: str) -> Answer:
        """Raises Unanswered."""
        try:
            with anyio.fail_after(self._seconds):
                return await self._send(_target(url), headers, body.encode())
        except TimeoutError as error:
            raise Unanswered(f"no answer within {self._seconds:.0f} s") from error
        except AddressRefused as error:
            raise Unanswered(f"address refused: {error}") from error
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            raise Unanswered(_reason(error)) from error
        except (httpcore.ProtocolError, ssl.SSLError) as error:
            raise Unanswered("the receiver does not speak HTTP/1.1 over TLS") from error

    async def _send(self, url: httpcore.URL, headers: Mapping[str, str], body: bytes) -> Answer:
        async with httpcore.AsyncConnectionPool(
            ssl_context=self._trust, network_backend=self._network, http1=True, http2=False, retries=0
        ) as pool:
            sent = [(name.encode(), value.encode()) for name, value in {**headers, "Connection": "close"}.items()]
            async with pool.stream("POST", url, headers=sent, content=body) as response:
                found = {name.lower(): value for name, value in response.headers}
                retry_after = found.get(b"retry-after")
                return Answer(response.status, retry_after.decode("latin-1") if retry_after else None)


def _target(url: str) -> httpcore.URL:
    """Host and target by one parser, so that no second one can read another host out of the URL."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:  # brackets that hold no address
        raise AddressRefused(_SHAPE) from None
    if not url.isascii() or parts.scheme != "https" or parts.netloc not in {host, f"{host}:{HTTPS_PORT}"} or not host:
        raise AddressRefused(_SHAPE)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return httpcore.URL(scheme=b"https", host=host.encode(), port=HTTPS_PORT, target=target.encode())


def _reason(error: Exception) -> str:
    """What went wrong with the connection; of OpenSSL's texts the ones that name the certificate's fault."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not valid: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "TLS failed"
        cause = cause.__cause__ or cause.__context__
    return "the connection failed"
