"""Why an object is rejected, with the place inside it."""

from dataclasses import dataclass

from isolation.manifests.node import dotted
from isolation.manifests.reading import DocumentPath

_LONGEST = 400  # values stand in the text as they are written, and may be of any length


@dataclass(frozen=True)
class Fault:
    """path: inside the object; why: value, rule and, where there is one, the remedy."""

    path: DocumentPath
    why: str

    def __str__(self) -> str:
        text = f"{dotted(self.path)}: {self.why}" if self.path else self.why
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
