"""API keys `ftk_<id>_<secret>`: the directory holds the sha256 of the whole key, the key itself is in no file.

A secret is at least 128 random bits, so a plain hash is as good as a slow one.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from app.contract.directory import ApiKeyRule

_KEY = re.compile(r"ftk_([a-z0-9]{4,16})_[A-Za-z0-9_-]{22,128}")


@dataclass(frozen=True)
class ApiKey:
    """A key that a caller presented."""

    id: str  # public half; names the actor in the audit
    sha256: str

    def matches(self, rule: ApiKeyRule) -> bool:
        """In constant time once the public halves agree."""
        return self.id == rule.id and hmac.compare_digest(self.sha256, rule.sha256)


def read_key(text: str) -> ApiKey | None:
    """The key as it is compared; None when the text has no key's form."""
    if (match := _KEY.fullmatch(text)) is None:
        return None
    return ApiKey(match.group(1), digest(text))


def digest(key: str) -> str:
    """What a tenant file holds of the key."""
    return hashlib.sha256(key.encode()).hexdigest()


def draw_key(key_id: str) -> str:
    """A new key with 256 random bits. Raises ValueError when the id is none."""
    key = f"ftk_{key_id}_{secrets.token_urlsafe(32)}"
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key_id!r} is no id of an API key; use 4-16 of a-z and 0-9")
    return key
