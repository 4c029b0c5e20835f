"""The prepared data set as files: tokens, masks and document ends in safetensors, what describes it in JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from safetensors.numpy import load_file, save_file

from trainer.data.masks import Document
from trainer.publishing.manifest import seal, to_json, verify

FACTS = "dataset.json"
_TOKENS = "tokens.safetensors"


class Facts(BaseModel):
    """dataset.json."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    fingerprint: str = Field(description="sha256 over data, template, tokenizer and parameters")
    dropped: Mapping[str, int] = Field(description="rows dropped, by reason")


@dataclass(frozen=True)
class Dataset:
    """Training and held-out documents."""

    facts: Facts
    training: tuple[Document, ...]
    evaluation: tuple[Document, ...]

    def save(self, folder: Path) -> None:
        """Write the folder, its manifest last."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {**_columns("training", self.training), **_columns("evaluation", self.evaluation)}
        save_file(tensors, folder / _TOKENS)
        (folder / FACTS).write_text(to_json(self.facts.model_dump(mode="json", by_alias=True)), encoding="utf-8")
        seal(folder)

    @classmethod
    def load(cls, folder: Path) -> "Dataset":
        """Raises manifest.Incomplete when the folder is torn."""
        verify(folder)
        facts = Facts.model_validate(json.loads((folder / FACTS).read_text(encoding="utf-8")))
        tensors = load_file(folder / _TOKENS)
        return cls(facts, _documents("training", tensors), _documents("evaluation", tensors))


def _columns(part: str, documents: Sequence[Document]) -> dict[str, npt.NDArray[np.generic]]:
    return {
        f"{part}.ids": np.concatenate([document.ids for document in documents]),
        f"{part}.learned": np.concatenate([document.learned for document in documents]),
        f"{part}.ends": np.cumsum([len(document) for document in documents], dtype=np.int64),
        f"{part}.lines": np.array([document.line for document in documents], dtype=np.int64),
    }


def _documents(part: str, tensors: Mapping[str, npt.NDArray[np.generic]]) -> tuple[Document, ...]:
    cuts = tensors[f"{part}.ends"][:-1]
    ids, learned = np.split(tensors[f"{part}.ids"], cuts), np.split(tensors[f"{part}.learned"], cuts)
    lines = tensors[f"{part}.lines"].tolist()
    return tuple(Document(*columns) for columns in zip(lines, ids, learned, strict=True))
