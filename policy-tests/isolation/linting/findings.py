"""What the linter found, and where."""

from dataclasses import dataclass

from isolation.linting.objects import Policy
from isolation.manifests.node import dotted
from isolation.manifests.reading import DocumentPath

SEVERITIES = ("error", "warning", "note")  # the worst first


@dataclass(frozen=True, eq=False)
class Hit:
    """A check's answer: a rule of the catalogue, the place, and what is particular to it."""

    rule: str
    policy: Policy
    path: DocumentPath
    detail: str


@dataclass(frozen=True, order=True)
class Finding:
    """One hit, ready to be told. line: from 1; path: inside the file; subject: kind, namespace and name."""

    file: str
    line: int
    rule: str
    severity: str
    path: str
    subject: str
    message: str
    fix: str


def place(hit: Hit) -> tuple[int, str]:
    """Line and path inside the file."""
    return hit.policy.document.line(hit.path), dotted((*hit.policy.prefix, *hit.path))
