"""A receiver is one URL of one tenant; rows name it by a hash of fixed length."""

import hashlib


def receiver(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()
