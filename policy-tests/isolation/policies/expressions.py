"""Regular expressions of policies and settings, in RE2: Cilium and Envoy use it, and its time is linear in the text."""

from functools import lru_cache
from typing import Any

import re2

MAX_LENGTH = 4096  # of an expression; RE2 bounds its memory, and Kubernetes no text of a rule


class ExpressionError(ValueError):
    """What is no expression; the text says why."""


@lru_cache(maxsize=4096)
def compiled(text: str) -> Any:
    """The expression, with `match`, `fullmatch` and `search`. Raises ExpressionError."""
    if len(text) > MAX_LENGTH:
        message = f"is longer than {MAX_LENGTH}"
        raise ExpressionError(message)
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        message = f"is no regular expression ({_shown(error)})"
        raise ExpressionError(message) from None


def fault(text: str) -> str | None:
    """Why a text is no expression; None when it is one."""
    try:
        compiled(text)
    except ExpressionError as error:
        return str(error)
    return None


def _shown(error: Exception) -> str:
    (reason, *_) = error.args or (str(error),)
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
