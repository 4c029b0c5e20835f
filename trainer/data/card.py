"""The data card: where the rows came from, what became of them, what decided it. card.json, and card.md for people."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from trainer.contract.filters import Filters
from trainer.publishing.manifest import to_json

JSON, MARKDOWN = "card.json", "card.md"
SHOWN = 100  # pairs of a leak that are listed
_LISTED = 10  # of them, in the Markdown


class _Figures(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Source(_Figures):
    """A file of rows."""

    uri: str
    sha256: str
    bytes: int


class Part(_Figures):
    """Training rows, or held-out ones."""

    read: int = Field(description="rows of its file; 0 when it was taken from the training rows")
    rows: int = Field(description="that are left")
    dropped: Mapping[str, int] = Field(description="rows, by reason")
    tokens: int
    learned_tokens: int = Field(description="that the loss counts")


class Leak(_Figures):
    """A held-out row and the training row that has its text, by line."""

    evaluation: int
    training: int


class Packing(_Figures):
    """efficiency: share of the computed tokens that are no padding."""

    width: int
    packed: bool
    rows: int
    efficiency: float


class Card(_Figures):
    """card.json."""

    fingerprint: str = Field(description="sha256 over the files, the template, the tokenizer and what is below it")
    pipeline_version: int
    data: Source
    evaluation_data: Source | None = Field(description="absent: held out from the data, by duplicate cluster")
    tests: tuple[Source, ...] = Field(description="files that the training rows must not repeat")
    licence: str | None = Field(description="of the data, as the job states it")
    template_sha256: str
    tokenizer_sha256: str
    objective: str
    seed: int
    filters: Filters
    training: Part
    evaluation: Part
    token_histogram: Mapping[str, int] = Field(description="training rows by tokens: up to 16, up to 32, ...")
    languages: Mapping[str, int] = Field(description="rows by ISO 639-1 code; empty: not looked at")
    personal_data: Mapping[str, int] = Field(description="hits by kind, in rows of both parts")
    abusive_rows: int = Field(description="training rows with a word of abuse; they are kept")
    abuse_rate: float
    duplicate_rate: float = Field(description="copies and near copies among the training rows that reached that filter")
    leak_rate: float = Field(
        description="held-out rows that are like a training row, or of whose runs of 13 words half stand in such rows"
    )
    leaks: tuple[Leak, ...] = Field(description=f"the first {SHOWN} of them")
    overlapping_rows: int = Field(
        description="held-out rows with 13 words in a row of a training row; no leak by itself"
    )
    returned_rows: int = Field(description="rows not held out after all, because half of them stands in training rows")
    packing: Packing

    def write(self, folder: Path) -> None:
        """Leave both forms."""
        (folder / JSON).write_text(to_json(self.model_dump(mode="json", by_alias=True)), encoding="utf-8")
        (folder / MARKDOWN).write_text(self.markdown(), encoding="utf-8")

    def markdown(self) -> str:
        """For people."""
        return "\n".join(["# Data card", "", *self._origin(), "", *self._rows(), "", *self._found(), ""])

    def _origin(self) -> list[str]:
        held, drawn = self.evaluation_data, f"taken from the data by duplicate cluster, seed {self.seed}"
        template, tokenizer = self.template_sha256[:12], self.tokenizer_sha256[:12]
        return [
            f"- Data: `{self.data.uri}`, sha256 `{self.data.sha256}`, licence {self.licence or 'not stated'}",
            f"- Held-out rows: {f'`{held.uri}`, sha256 `{held.sha256}`' if held else drawn}",
            *(f"- Tests that it must not repeat: `{test.uri}`, sha256 `{test.sha256}`" for test in self.tests),
            f"- Objective {self.objective}, template `{template}`, tokenizer `{tokenizer}`",
            f"- Fingerprint `{self.fingerprint}`, pipeline version {self.pipeline_version}",
        ]

    def _rows(self) -> list[str]:
        reasons = sorted({*self.training.dropped, *self.evaluation.dropped})
        held_read = str(self.evaluation.read) if self.evaluation_data else "-"
        return [
            "| | training | held-out |",
            "|---|---:|---:|",
            f"| rows read | {self.training.read} | {held_read} |",
            *(
                f"| {reason} | {self.training.dropped.get(reason, 0)} | {self.evaluation.dropped.get(reason, 0)} |"
                for reason in reasons
            ),
            f"| **rows kept** | {self.training.rows} | {self.evaluation.rows} |",
            f"| tokens | {self.training.tokens} | {self.evaluation.tokens} |",
            f"| learned tokens | {self.training.learned_tokens} | {self.evaluation.learned_tokens} |",
        ]

    def _found(self) -> list[str]:
        packing, kind = self.packing, "Packed" if self.packing.packed else "Padded"
        leaks = ", ".join(f"{leak.evaluation} (training {leak.training})" for leak in self.leaks[:_LISTED])
        return [
            f"- Duplicates: {self.duplicate_rate:.2%}",
            f"- Held-out rows that leak: {self.leak_rate:.2%}{leaks and f'; lines {leaks}'}",
            f"- Held-out rows with 13 words in a row of a training row: {self.overlapping_rows}",
            f"- Personal data: {_counts(self.personal_data)} ({self.filters.personal_data})",
            f"- Rows with abuse: {self.abusive_rows} ({self.abuse_rate:.2%}), kept",
            f"- Languages: {_counts(self.languages) if self.filters.languages else 'not looked at'}",
            f"- Tokens of a row: {_counts(self.token_histogram)}",
            f"- {kind} rows of {packing.width} tokens: {packing.rows}; {packing.efficiency:.1%} of the tokens are real",
        ]


def _counts(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in numbers.items()) or "none"
