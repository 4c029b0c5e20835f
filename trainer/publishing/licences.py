"""What a licence says of commercial use, as far as its SPDX id tells. A version is bound by its base and its data."""

import re
from collections.abc import Iterable

_NON_COMMERCIAL = re.compile(r"(^|-)(nc|noncommercial|non-commercial|research-only|research)(-|$)")
# Not SPDX, but how model makers name licences of their own; they permit commercial use with conditions.
_CONDITIONAL = re.compile(r"^(llama-?[234]|gemma|qwen|openrail|bigscience-openrail|creativeml-openrail)")
_UNKNOWN = {"other", "unknown", "noassertion", "none", "proprietary"}


def forbids_commercial_use(expression: str) -> bool:
    """Whether an SPDX id, or an expression of several, does: by AND any of them, by OR only all."""
    parts = re.sub(r"[()]", " ", expression).split(" OR ")
    return all(any(_is_non_commercial(one) for one in part.split(" AND ")) for part in parts)


def needs_reading(expression: str) -> bool:
    """Whether the id stands for terms that nobody can judge by name: conditions of the maker, or no known licence."""
    names = [name.strip().lower() for name in re.split(r" OR | AND |[()]", expression)]
    return any(name in _UNKNOWN or _CONDITIONAL.match(name) for name in names)


def is_non_commercial(licences: Iterable[str]) -> bool:
    """Whether one of the licences that bind a version forbids commercial use."""
    return any(forbids_commercial_use(licence) for licence in licences)


def _is_non_commercial(licence: str) -> bool:
    return _NON_COMMERCIAL.search(licence.strip().lower()) is not None
