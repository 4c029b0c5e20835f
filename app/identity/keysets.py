"""Keys of OIDC issuers: found by discovery, kept, and fetched again only as often as the issuer can bear.

An issuer's documents come from its own origin alone: no redirects, no proxies of the environment, bounded in size and
time (OpenID Connect Discovery 1.0, RFC 7517).
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import jwt

from app.identity.caller import IssuerUnavailable

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
FETCH_SECONDS = 5.0  # of discovery and keys together
REFRESH_SECONDS = 600.0  # keys are looked at again after it, at the next token
RETRY_SECONDS = 60.0  # between two fetches from one issuer, whatever tokens name
KEEP_SECONDS = 86_400.0  # how long the last good keys are used while the issuer does not answer
MOST_BYTES = 256 << 10
MOST_KEYS = 64
_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}  # by the first letters of the algorithm

_log = logging.getLogger(__name__)


class UnknownKey(Exception):  # noqa: N818 - the name is the fact
    """The issuer has no such key."""


@dataclass
class _KeySet:
    keys: Mapping[str | None, Mapping[str, Any]] = field(default_factory=dict)  # kid -> JWK
    fetched_at: float | None = None
    tried_at: float | None = None
    lock: anyio.Lock = field(default_factory=anyio.Lock)


class KeySets:
    """The keys of each issuer."""

    def __init__(
        self, *, transport: httpx.AsyncBaseTransport | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """transport: in the place of the network. clock: seconds."""
        self._transport = transport
        self._clock = clock
        self._sets: dict[str, _KeySet] = {}

    async def key(self, issuer: str, kid: object, algorithm: str) -> jwt.PyJWK:
        """The issuer's key of that id, for that algorithm. Raises UnknownKey, IssuerUnavailable."""
        found = self._sets.setdefault(issuer, _KeySet())
        if self._is_due(found, kid):
            async with found.lock:
                if self._is_due(found, kid):
                    await self._refresh(issuer, found)
        if found.fetched_at is None or self._clock() - found.fetched_at > KEEP_SECONDS:
            raise IssuerUnavailable(f"issuer {issuer}: its keys cannot be fetched; look at its address and certificate")
        return _fitting(found.keys, kid, algorithm)

    def _is_due(self, found: _KeySet, kid: object) -> bool:
        now = self._clock()
        if found.tried_at is not None and now - found.tried_at < RETRY_SECONDS:
            return False
        return found.fetched_at is None or now - found.fetched_at > REFRESH_SECONDS or _by_id(found.keys, kid) is None

    async def _refresh(self, issuer: str, found: _KeySet) -> None:
        """A failure leaves the keys that are there."""
        found.tried_at = self._clock()
        try:
            found.keys = await self._fetch(issuer)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError, RecursionError) as error:
            _log.warning("issuer %s: %s; its last keys stay in use", issuer, error or type(error).__name__)
        else:
            found.fetched_at = self._clock()

    async def _fetch(self, issuer: str) -> Mapping[str | None, Mapping[str, Any]]:
        """Raises httpx.HTTPError, TimeoutError, ValueError."""
        with anyio.fail_after(FETCH_SECONDS):
            async with httpx.AsyncClient(
                transport=self._transport, trust_env=False, follow_redirects=False, timeout=FETCH_SECONDS
            ) as client:
                about = await _document(client, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
                if about.get("issuer") != issuer:
                    raise ValueError("its discovery document is of another issuer")
                keys_url = about.get("jwks_uri")
                if not isinstance(keys_url, str) or _origin(keys_url) != _origin(issuer):
                    raise ValueError("its jwks_uri is not on the issuer's own origin")
                return _usable(await _document(client, keys_url))


async def _document(client: httpx.AsyncClient, url: str) -> Mapping[str, Any]:
    """Raises httpx.HTTPError, ValueError."""
    async with client.stream("GET", url, headers={"Accept": "application/json"}) as answer:
        if answer.status_code != httpx.codes.OK:
            raise ValueError(f"answered {answer.status_code} at {urlsplit(url).path}")
        body = bytearray()
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > MOST_BYTES:
                raise ValueError(f"sent more than {MOST_BYTES} bytes")
    document = json.loads(bytes(body))
    if not isinstance(document, dict):
        raise ValueError("sent no JSON object")  # noqa: TRY004 - what was sent, not how we were called
    return document


def _usable(document: Mapping[str, Any]) -> Mapping[str | None, Mapping[str, Any]]:
    """Public signing keys by id; other kinds are left out, never believed."""
    found = document.get("keys")
    if not isinstance(found, list) or len(found) > MOST_KEYS:
        raise ValueError(f"its key set holds no list of at most {MOST_KEYS} keys")
    keys: dict[str | None, Mapping[str, Any]] = {}
    for key in found:
        if isinstance(key, dict) and key.get("use", "sig") == "sig" and key.get("kty") in _KEY_TYPES.values():
            kid = key.get("kid")
            keys[kid if isinstance(kid, str) else None] = key
    return keys


def _by_id(keys: Mapping[str | None, Mapping[str, Any]], kid: object) -> Mapping[str, Any] | None:
    """A token may name no key only where the issuer has a single one."""
    if kid is None:
        return next(iter(keys.values())) if len(keys) == 1 else None
    return keys.get(kid) if isinstance(kid, str) else None


def _fitting(keys: Mapping[str | None, Mapping[str, Any]], kid: object, algorithm: str) -> jwt.PyJWK:
    key = _by_id(keys, kid)
    if key is None:
        raise UnknownKey("the token is signed with a key that its issuer does not have")
    if key["kty"] != _KEY_TYPES[algorithm[:2]] or key.get("alg", algorithm) != algorithm:
        raise UnknownKey("the token's algorithm is not the one of the key that it names")
    return jwt.PyJWK(dict(key), algorithm)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return (parts.scheme, parts.hostname, parts.port)
