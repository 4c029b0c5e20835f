"""`Publisher` over HTTPS, for a function that cannot hold Kafka connections: Strimzi's KafkaBridge, producer API v2.

`https+kafkarest://user:password@host/prefix`; `http+kafkarest://` for loopback. Written from the bridge's published
API and tested against a stub of it: unverified against a real bridge. It is durable only where the bridge's own
producer is set to `acks=all` and `enable.idempotence=true`.
"""

import base64
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx

from app.broker import envelope as wire
from app.broker.queue import BrokerUnavailable, Headers
from app.broker.topics import TOPICS
from app.contract.job import JobEnvelope
from app.settings import SettingsError

DEADLINE_SECONDS = 3.0
SCHEMES = {"https+kafkarest": "https", "http+kafkarest": "http"}
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
CONTENT_TYPE = "application/vnd.kafka.binary.v2+json"  # key, value and headers in base64, so that bytes stay bytes


class RestPublisher:
    """One request per message. Raises SettingsError for an address that is none."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        scheme = SCHEMES.get(parts.scheme, "")
        host = parts.hostname or ""
        if not scheme or not host or parts.query or (scheme == "http" and host not in LOOPBACK):
            text = "give https+kafkarest://user:password@host/prefix (http+kafkarest:// leads to loopback alone)"
            raise SettingsError(f"TENON_BROKER_URL: this kafkarest address is not understood; {text}")
        place = parts.netloc.rpartition("@")[2]
        self._shown = urlunsplit((scheme, place, parts.path.rstrip("/"), "", ""))
        self._url = f"{self._shown}/topics/{TOPICS.jobs}"
        self._account = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None

    async def publish(self, envelope: JobEnvelope, *, traceparent: str | None, tracestate: str | None = None) -> None:
        headers = wire.raw(wire.headers(envelope, traceparent=traceparent, tracestate=tracestate))
        body = {"records": [record(envelope.tenant.encode(), wire.value(envelope), headers)]}
        try:
            # a client each time: between two requests a function may be frozen, and its connections are dead then
            async with httpx.AsyncClient(timeout=DEADLINE_SECONDS, trust_env=False, auth=self._account) as client:
                answer = await client.post(self._url, json=body, headers={"Content-Type": CONTENT_TYPE})
        except httpx.HTTPError as error:
            raise BrokerUnavailable(f"bridge {self._shown}: {type(error).__name__}: {error}") from error
        if fault := _fault(answer):
            raise BrokerUnavailable(f"bridge {self._shown}: {fault}; look at the bridge and its rights to the topic")


def record(key: bytes, value: bytes, headers: Headers) -> dict[str, object]:
    """One record of the request, in the binary form."""
    pairs = [{"key": name, "value": _base64(found or b"")} for name, found in headers]
    return {"key": _base64(key), "value": _base64(value), "headers": pairs}


def _fault(answer: httpx.Response) -> str | None:
    """What went wrong: the bridge answers 200 with one entry per record, which has an offset or an error."""
    if answer.status_code != httpx.codes.OK:
        return f"answered {answer.status_code}"
    try:
        document = answer.json()
        (entry,) = document["offsets"]
        stored = isinstance(entry["offset"], int) and "error_code" not in entry
    except (ValueError, KeyError, TypeError):
        return "did not answer with the offset of the record"
    return None if stored else "refused the record"


def _base64(found: bytes) -> str:
    return base64.b64encode(found).decode()
