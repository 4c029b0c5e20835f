"""An OIDC issuer of the tests: its keys, its two documents, and tokens of every kind, good and bad."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.contract.directory import Credential, OidcRule, PlatformEntry, TenantEntry
from app.tests.cast import platform_entry, tenant_entry

ISSUER = "https://issuer.example"
OTHER_ISSUER = "https://elsewhere.example"
AUDIENCE = "tenon"


@cache
def private_key(kind: str, number: int = 0) -> Any:
    """One key of each kind and number per process: drawing RSA keys takes long."""
    if kind == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if kind == "small":
        return rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - what must be refused
    return ec.generate_private_key(ec.SECP256R1()) if kind == "EC" else ed25519.Ed25519PrivateKey.generate()


_ALGORITHMS: dict[str, Any] = {
    "RSA": jwt.algorithms.RSAAlgorithm,
    "small": jwt.algorithms.RSAAlgorithm,
    "EC": jwt.algorithms.ECAlgorithm,
    "OKP": jwt.algorithms.OKPAlgorithm,
}


def jwk(kind: str, kid: str, number: int = 0, **more: Any) -> dict[str, Any]:
    made = _ALGORITHMS[kind].to_jwk(private_key(kind, number).public_key(), as_dict=True)
    return {**made, "kid": kid, **more}


def claims(**changed: Any) -> dict[str, Any]:
    """Of a caller of acme; a claim that is None is left out."""
    now = int(time.time())
    made = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "groups": ["acme", "staff"], "iat": now, "exp": now + 300}
    return {name: value for name, value in {**made, **changed}.items() if value is not None}


def token(kind: str = "RSA", algorithm: str = "RS256", *, kid: str | None = "rsa", **changed: Any) -> str:
    """Signed with the issuer's own key. changed: claims, and `number` of the key, and `header` fields."""
    number, header = changed.pop("number", 0), changed.pop("header", {})
    fields = {**header, **({"kid": kid} if kid else {})}
    return jwt.encode(claims(**changed), private_key(kind, number), algorithm, headers=fields)


def unsigned(**changed: Any) -> str:
    """`alg: none`."""
    return f"{_part({'alg': 'none', 'kid': 'rsa'})}.{_part(claims(**changed))}."


def signed_with_the_public_key(**changed: Any) -> str:
    """HS256, its secret the PEM of the issuer's public key."""
    pem = private_key("RSA").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    text = f"{_part({'alg': 'HS256', 'kid': 'rsa'})}.{_part(claims(**changed))}"
    signature = hmac.new(pem, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _part(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def with_rule(tenant: TenantEntry, *, issuer: str = ISSUER, value: str | None = None, **rule: str) -> TenantEntry:
    """The tenant with one more credential: members of the group of its name."""
    made = {"audience": AUDIENCE, "claim": "groups", "value": value or tenant.id, **rule}
    credential = Credential(oidc=OidcRule(issuer=issuer, **made))
    return tenant.model_copy(update={"credentials": (*tenant.credentials, credential)})


def tenants() -> tuple[TenantEntry, ...]:
    """acme and globex, each with a rule."""
    return with_rule(tenant_entry("acme")), with_rule(tenant_entry("globex"))


def platform(*issuers: str) -> PlatformEntry:
    return platform_entry().model_copy(update={"issuers": issuers or (ISSUER,)})


@dataclass
class Issuer:
    """Answers in the place of the network; faults are asked for by a test."""

    keys: list[dict[str, Any]] = field(default_factory=lambda: [jwk("RSA", "rsa"), jwk("EC", "ec"), jwk("OKP", "ed")])
    about: dict[str, Any] = field(default_factory=lambda: {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"})
    fault: Callable[[httpx.Request], httpx.Response] | None = None
    asked: list[str] = field(default_factory=list)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        if self.fault is not None:
            return self.fault(request)
        if request.url.path == "/.well-known/openid-configuration":
            return httpx.Response(200, json=self.about)
        return httpx.Response(200, json={"keys": self.keys})


class Endless(httpx.AsyncByteStream):
    """A body without an end."""

    async def __aiter__(self) -> Iterator[bytes]:  # type: ignore[override, misc]
        while True:
            yield b" " * 65536
