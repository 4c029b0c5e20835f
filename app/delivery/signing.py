"""Signatures of Standard Webhooks 1.0.0. Secrets are derived from one master key and stand nowhere.

Who holds the master key can make every tenant's secrets; who holds a tenant's secret learns nothing of another one.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path

from app.settings import SettingsError

KEY_BYTES = 32  # at the least
_REMEDY = "head -c 32 /dev/urandom | base64 > FILE makes one"


class SigningKeys:
    """The secrets of all tenants."""

    def __init__(self, master: bytes) -> None:
        self._master = master

    def secret(self, tenant: str, generation: int) -> bytes:
        """256 bits: HMAC-SHA256 of tenant and generation under the master key. A tenant id holds no NUL."""
        return hmac.digest(self._master, f"{tenant}\0{generation}".encode(), hashlib.sha256)

    def shown(self, tenant: str, generation: int) -> str:
        """The secret as receivers configure it."""
        return f"whsec_{base64.b64encode(self.secret(tenant, generation)).decode()}"


def signature(secrets: Sequence[bytes], *, identifier: str, timestamp: int, body: str) -> str:
    """The `webhook-signature` header: one `v1,` signature under each secret, so that a rotation misses no receiver."""
    signed = f"{identifier}.{timestamp}.{body}".encode()
    digests = (base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode() for secret in secrets)
    return " ".join(f"v1,{digest}" for digest in digests)


def read_keys(path: Path) -> SigningKeys:
    """The keys under the master key in a file, less the blanks around it. Raises SettingsError."""
    try:
        master = path.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"TENON_WEBHOOK_KEY_FILE: {path} cannot be read ({error.strerror}); {_REMEDY}") from error
    if len(master) < KEY_BYTES:
        text = f"{path} holds {len(master)} bytes, a master key has {KEY_BYTES} at the least; {_REMEDY}"
        raise SettingsError(f"TENON_WEBHOOK_KEY_FILE: {text}")
    return SigningKeys(master)
