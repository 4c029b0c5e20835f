"""Types of the fields of Applications and projects that the judge reads, as Argo CD's CRDs have them.

The API server refuses an object of other types, so it would not be there; and nothing more can be said of it.
"""

from collections.abc import Iterator
from typing import Any

from isolation.manifests.tree import Document

_MAPPINGS = frozenset({"destination", "source", "syncPolicy"})
_TEXTS = frozenset({"sourceNamespaces", "sourceRepos"})
_RECORDS = frozenset(
    {
        "clusterResourceWhitelist",
        "destinationServiceAccounts",
        "destinations",
        "namespaceResourceBlacklist",
        "namespaceResourceWhitelist",
    }
)
_RECORDS_OF_LISTS = frozenset({"ignoreDifferences", "roles"})


def malformed(document: Document) -> Iterator[str]:
    """Fields that are of another type; a field that is not known here is not looked at."""
    spec = document.body.get("spec")
    if not isinstance(spec, dict):
        yield "has no spec"
        return
    for key, value in spec.items():
        if key == "description" and not isinstance(value, str):
            yield "spec.description is no text"
        elif key in _MAPPINGS and not isinstance(value, dict):
            yield f"spec.{key} is no mapping"
        elif key in _TEXTS and not _is_texts(value):
            yield f"spec.{key} is no list of texts"
        elif key in _RECORDS | _RECORDS_OF_LISTS and not _is_records(value, lists=key in _RECORDS_OF_LISTS):
            yield f"spec.{key} is no list of mappings of texts"


def _is_records(value: Any, *, lists: bool) -> bool:
    """lists: a value may be a list of texts as well."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        return False
    inside = (part for each in value for part in each.values())
    return all(isinstance(part, str) or (lists and _is_texts(part)) for part in inside)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
