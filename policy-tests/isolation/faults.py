"""Why an object is rejected, with the place inside it."""

from dataclasses import dataclass

from isolation.node import dotted
from isolation.reading import DocumentPath


@dataclass(frozen=True)
class Fault:
    """path: inside the object; why: value, rule and, where there is one, the remedy."""

    path: DocumentPath
    why: str

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.why}" if self.path else self.why
