"""Values of a document that may be anything: read as what they should be, or as empty."""

from collections.abc import Mapping, Sequence
from typing import Any


def mapped(value: Any) -> Mapping[str, Any]:
    """The mapping, or an empty one for what is none."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> Sequence[Any]:
    """The list, or an empty one for what is none."""
    return value if isinstance(value, list) else ()
