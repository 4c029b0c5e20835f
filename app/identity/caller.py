"""Who calls. A credential leads to exactly one tenant; the request's body never does (DESIGN D17)."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.directory import Directory
from app.identity.keys import read_key

_REMEDY = "send `Authorization: Bearer ftk_<id>_<secret>` with an API key of your tenant file"


class Unauthenticated(Exception):  # noqa: N818 - named by what it says of the caller
    """The request has no credential, or one that no tenant knows; the text tells the remedy, never the credential."""


@dataclass(frozen=True)
class Caller:
    """On whose behalf a request acts."""

    tenant: str
    actor: str  # `key:<id>`, for the audit


class Callers:
    """Callers by the credentials of the tenant directory."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def of(self, headers: Mapping[str, str]) -> Caller:
        """The caller by its Authorization header. Raises Unauthenticated.

        Nothing else is looked at: no query parameter, no cookie, no header that names a tenant.
        """
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        credential = credential.strip()
        if not credential:
            raise Unauthenticated(f"the request has no credential; {_REMEDY}")
        if scheme.lower() != "bearer":
            raise Unauthenticated(f"the authorization scheme is not Bearer; {_REMEDY}")
        if credential.count(".") == 2:  # noqa: PLR2004 - the three parts of a JWT
            raise Unauthenticated(f"only API keys are accepted by this version, no OIDC tokens; {_REMEDY}")
        key = read_key(credential)
        tenant = self._directory.tenant_of(key) if key else None
        if key is None or tenant is None:
            raise Unauthenticated(f"the API key is unknown or was removed; {_REMEDY}")
        return Caller(tenant, f"key:{key.id}")
