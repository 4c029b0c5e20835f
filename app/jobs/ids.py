"""Ids that the API draws: sortable by the second, lower case, fit for DNS labels and Kubernetes names."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.contract.job import job_id

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32, in order of value
_SECONDS_CHARACTERS, _RANDOM_CHARACTERS = 7, 19  # 35 bits last until the year 3058; 95 random bits


@dataclass(frozen=True)
class Ids:
    """Draws ids of 26 characters; clock (Unix seconds) and randomness are given, so that tests know them."""

    clock: Callable[[], float] = time.time
    random_bits: Callable[[int], int] = secrets.randbits

    def draw(self) -> str:
        """Seconds first. Names that keep 12 characters of a job id keep 25 random bits of it."""
        seconds = _base32(int(self.clock()), _SECONDS_CHARACTERS)
        return seconds + _base32(self.random_bits(5 * _RANDOM_CHARACTERS), _RANDOM_CHARACTERS)

    def for_request(self, tenant: str, idempotency_key: str | None) -> str:
        """The id that the tenant's key always leads to; drawn when there is no key."""
        return self.draw() if idempotency_key is None else job_id(tenant, idempotency_key)


def _base32(number: int, characters: int) -> str:
    return "".join(_ALPHABET[(number >> (5 * place)) & 31] for place in reversed(range(characters)))
