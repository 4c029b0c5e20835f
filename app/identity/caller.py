"""Who calls. A credential leads to exactly one tenant; the request's body never does (DESIGN D17)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from app.directory import Directory
from app.identity.keys import read_key

_REMEDY = "send `Authorization: Bearer ftk_<id>_<secret>` with an API key of your tenant file"
_JWT_DOTS = 2


class Unauthenticated(Exception):  # noqa: N818 - named by what it says of the caller
    """The request has no credential, or one that no tenant knows; the text tells the remedy, never the credential."""


class IssuerUnavailable(Exception):  # noqa: N818 - the name is the fact
    """A token cannot be checked now, because who issued it does not answer."""


@dataclass(frozen=True)
class Caller:
    """On whose behalf a request acts."""

    tenant: str
    actor: str  # `key:<id>`, `oidc:<subject>` or `account:<namespace>/<name>`, for the audit


class Tokens(Protocol):
    """Callers by one kind of JWT."""

    async def caller(self, token: str) -> Caller | None:
        """None: the token is of another kind. Raises Unauthenticated, IssuerUnavailable."""


class Callers:
    """Callers by the credentials of the tenant directory."""

    def __init__(self, directory: Directory, *tokens: Tokens) -> None:
        """tokens: the kinds of JWT that are accepted, asked in this order."""
        self._directory = directory
        self._tokens = tokens

    async def of(self, headers: Mapping[str, str]) -> Caller:
        """The caller by its Authorization header. Raises Unauthenticated, IssuerUnavailable.

        Nothing else is looked at: no query parameter, no cookie, no header that names a tenant.
        """
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        credential = credential.strip()
        if not credential:
            raise Unauthenticated(f"the request has no credential; {_REMEDY}")
        if scheme.lower() != "bearer":
            raise Unauthenticated(f"the authorization scheme is not Bearer; {_REMEDY}")
        if credential.count(".") == _JWT_DOTS:
            return await self._by_token(credential)
        key = read_key(credential)
        tenant = self._directory.tenant_of(key) if key else None
        if key is None or tenant is None:
            raise Unauthenticated(f"the API key is unknown or was removed; {_REMEDY}")
        return Caller(tenant, f"key:{key.id}")

    async def _by_token(self, token: str) -> Caller:
        for kind in self._tokens:
            if (caller := await kind.caller(token)) is not None:
                return caller
        raise Unauthenticated(f"the token is of no issuer that the platform accepts; {_REMEDY}")
