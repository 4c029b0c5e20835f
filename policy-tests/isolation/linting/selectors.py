"""Label selectors as they are written, term by term, with the path of each."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from isolation.linting.plain import listed, mapped
from isolation.manifests.reading import DocumentPath
from isolation.policies.labels import ACCOUNT, CLUSTER, NAMESPACE, NAMESPACE_LABELS


@dataclass(frozen=True)
class Term:
    """One term of a selector as written. source: empty where none is written."""

    path: DocumentPath
    source: str
    key: str
    operator: str
    values: tuple[str, ...]

    @property
    def is_positive(self) -> bool:
        return self.operator in {"In", "Exists"}

    @property
    def is_namespace(self) -> bool:
        """Names namespaces: by name or by their labels."""
        return self.source != "reserved" and (self.key == NAMESPACE or self.key.startswith(NAMESPACE_LABELS))

    @property
    def pins_namespace(self) -> bool:
        return self.is_namespace and self.key == NAMESPACE and self.operator == "In"

    @property
    def is_trusted(self) -> bool:
        """The cluster sets the key; a pod's author cannot (Cilium 1.20, pkg/k8s/utils, SanitizePodLabels)."""
        return self.source == "reserved" or self.is_namespace or self.key in {ACCOUNT, CLUSTER}


@dataclass(frozen=True, eq=False)
class Selector:
    """A label selector as written."""

    path: DocumentPath
    body: Any

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        body = mapped(self.body)
        found = [
            _term((*self.path, "matchLabels", key), str(key), operator="In", values=(str(value),))
            for key, value in mapped(body.get("matchLabels")).items()
        ]
        for index, item in enumerate(listed(body.get("matchExpressions"))):
            wanted = mapped(item)
            values = tuple(str(value) for value in listed(wanted.get("values")))
            path = (*self.path, "matchExpressions", index)
            found.append(
                _term(path, str(wanted.get("key", "")), operator=str(wanted.get("operator", "")), values=values)
            )
        return tuple(found)

    @property
    def is_everything(self) -> bool:
        return isinstance(self.body, dict) and not self.terms


def _term(path: DocumentPath, written: str, *, operator: str, values: tuple[str, ...]) -> Term:
    source, colon, key = written.partition(":")
    return Term(path, source if colon else "", key if colon else written, operator, values)
