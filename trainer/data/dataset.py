"""The prepared data set as files: tokens, masks and document ends in safetensors, what describes it in JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from trainer.data.documents import Documents, DocumentWriter
from trainer.data.masks import Document
from trainer.publishing.manifest import Incomplete, seal, to_json, verify

FACTS = "dataset.json"
Part = Literal["training", "evaluation"]


class Facts(BaseModel):
    """dataset.json."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    fingerprint: str = Field(description="sha256 over data, template, tokenizer and parameters")
    dropped: Mapping[str, int] = Field(description="rows dropped, by reason")


@dataclass(frozen=True)
class Dataset:
    """Training and held-out documents; of a dpo data set chosen, rejected, chosen, rejected..."""

    facts: Facts
    training: Sequence[Document]
    evaluation: Sequence[Document]

    def save(self, folder: Path) -> None:
        """Write the folder, its manifest last."""
        with DatasetWriter(folder) as writer:
            for document in self.training:
                writer.add("training", document)
            for document in self.evaluation:
                writer.add("evaluation", document)
            writer.finish(self.facts)

    @classmethod
    def load(cls, folder: Path) -> "Dataset":
        """The documents are mapped, not read. Raises manifest.Incomplete when the folder is torn."""
        verify(folder)
        try:
            facts = Facts.model_validate(json.loads((folder / FACTS).read_text(encoding="utf-8")))
            return cls(facts, Documents(folder, "training"), Documents(folder, "evaluation"))
        except (OSError, ValueError) as error:
            raise Incomplete(
                f"{folder}: is no prepared data set of this version ({error}); prepare it again"
            ) from error


class DatasetWriter:
    """A data set written a document at a time, in bounded memory. Without `finish` it stays torn."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts: dict[Part, DocumentWriter] = {
            "training": DocumentWriter(folder, "training"),
            "evaluation": DocumentWriter(folder, "evaluation"),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for part in self._parts.values():
            part.abandon()

    def add(self, part: Part, document: Document) -> None:
        self._parts[part].add(document)

    def finish(self, facts: Facts) -> None:
        """Write what describes it, and the manifest last."""
        for part in self._parts.values():
            part.close()
        (self._folder / FACTS).write_text(to_json(facts.model_dump(mode="json", by_alias=True)), encoding="utf-8")
        seal(self._folder)
