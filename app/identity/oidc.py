"""OIDC tokens (RFC 7519, RFC 8725): verified with the issuer's own keys, then one tenant by the rules of its file."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.types import Options

from app.contract.directory import OidcRule
from app.directory import Directory
from app.identity.caller import Caller, Unauthenticated
from app.identity.keysets import ALGORITHMS, KeySets, UnknownKey

LEEWAY_SECONDS = 30  # clocks of issuers and ours
CACHE_SECONDS = 60.0  # how long a verified token is not verified again
MOST_CACHED = 4096
MOST_BYTES = 8192  # of a token
_MOST_SUBJECT = 255  # OpenID Connect Core, section 2

_DECODE: Options = {"require": ["exp", "iss", "aud", "sub"], "verify_aud": False, "enforce_minimum_key_length": True}


@dataclass(frozen=True)
class _Verified:
    caller: Caller
    rule: OidcRule
    until: float  # on the clock


class OidcTokens:
    """`Tokens` of the issuers in the platform's entry. Only tokens that were verified are cached, by their hash."""

    def __init__(self, directory: Directory, key_sets: KeySets, *, clock: Callable[[], float] = time.time) -> None:
        """clock: Unix seconds."""
        self._directory = directory
        self._key_sets = key_sets
        self._clock = clock
        self._cache: dict[bytes, _Verified] = {}

    async def caller(self, token: str) -> Caller | None:
        if len(token) > MOST_BYTES:
            raise Unauthenticated(f"the token has more than {MOST_BYTES} characters; get one with fewer claims")
        key = hashlib.sha256(token.encode()).digest()
        if known := self._cache.get(key):
            if known.until > self._clock() and self._still_holds(known):
                return known.caller
            del self._cache[key]
        issuer = issuer_of(token)
        if issuer not in self._directory.platform.issuers:
            return None
        claims = await self._verified(token, issuer)
        tenant, rule = self._tenant(claims, issuer)
        caller = Caller(tenant, f"oidc:{_subject(claims)}")
        if len(self._cache) >= MOST_CACHED:
            self._cache.clear()  # verifying again is cheap; an ordered cache would not be
        until = min(self._clock() + CACHE_SECONDS, float(claims["exp"]) + LEEWAY_SECONDS)
        self._cache[key] = _Verified(caller, rule, until)
        return caller

    async def _verified(self, token: str, issuer: str) -> Mapping[str, Any]:
        """Claims of a token whose signature and times hold. Raises Unauthenticated, IssuerUnavailable."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise Unauthenticated(f"the token's algorithm is not accepted; use one of {', '.join(ALGORITHMS)}")
            # jku, x5u, jwk and x5c of the header are never read: keys come from the configured issuer alone
            key = await self._key_sets.key(issuer, header.get("kid"), header["alg"])
            claims: Mapping[str, Any] = jwt.decode(
                token, key, algorithms=[header["alg"]], issuer=issuer, leeway=LEEWAY_SECONDS, options=_DECODE
            )
        except UnknownKey as error:
            raise Unauthenticated(f"{error}; get a new token") from error
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("the token has expired; get a new one") from error
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise Unauthenticated("the token does not hold: signature, times or claims; get a new one") from error
        return claims

    def _tenant(self, claims: Mapping[str, Any], issuer: str) -> tuple[str, OidcRule]:
        """The one tenant that has a rule for these claims. Raises Unauthenticated; also where two have."""
        found: dict[str, OidcRule] = {}
        for tenant in self._directory.tenants():
            for credential in tenant.credentials:
                if credential.oidc and credential.oidc.issuer == issuer and matches(credential.oidc, claims):
                    found.setdefault(tenant.id, credential.oidc)
        if not found:
            raise Unauthenticated("the token's claims match no rule of a tenant; add one under `credentials`")
        if len(found) > 1:
            raise Unauthenticated("the token's claims match rules of more than one tenant; get one for a single tenant")
        return next(iter(found.items()))

    def _still_holds(self, known: _Verified) -> bool:
        """Rules may be removed while a token is cached."""
        tenant = self._directory.tenant(known.caller.tenant)
        return tenant is not None and any(credential.oidc == known.rule for credential in tenant.credentials)


def matches(rule: OidcRule, claims: Mapping[str, Any]) -> bool:
    """Whether the claims are of the rule's audience and hold its value: as text, or as a member of a list."""
    return _holds(claims.get("aud"), rule.audience) and _holds(claims.get(rule.claim), rule.value)


def issuer_of(token: str) -> str | None:
    """Who the token says it is from, before anything of it is believed."""
    claim = unverified(token).get("iss")
    return claim if isinstance(claim, str) else None


def unverified(token: str) -> Mapping[str, Any]:
    """The claims as they stand there, to choose who has to verify them; none where they cannot be read."""
    try:
        claims: Mapping[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return {}
    return claims


def _holds(claim: object, value: str) -> bool:
    return claim == value or (isinstance(claim, list) and value in claim)


def _subject(claims: Mapping[str, Any]) -> str:
    subject = claims["sub"]
    if not (isinstance(subject, str) and 0 < len(subject) <= _MOST_SUBJECT and subject.isprintable()):
        raise Unauthenticated("the token's subject is no printable text of at most 255 characters; get another")
    return subject
